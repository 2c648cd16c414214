package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/hosting"
)

// route is a compiled Template.
type route struct {
	target
	categories, events []string // in upper case
	json               bool
	timeout            time.Duration
}

// find returns the first route for an event, or nil.
func (p *plan) find(category, event string) *route {
	category, event = fold.Upper(category), fold.Upper(event)
	for i := range p.routes {
		if r := &p.routes[i]; hosting.Matches(r.categories, category) && hosting.Matches(r.events, event) {
			return r
		}
	}
	return nil
}

// folded returns patterns in upper case. None are one that matches all names.
func folded(patterns []string) []string {
	if len(patterns) == 0 {
		return []string{"*"}
	}
	return hosting.Folded(patterns)
}

// target is a URL with placeholders, each of which is a segment of its path.
type target struct {
	base url.URL
	path string // escaped, with the placeholders
}

var errPlaceholder = errors.New("{hub}, {category} and {event} can only be whole segments of the path, as in http://host/{hub}/{event}")

var errNoURL = errors.New("not the URL of a backend; write it as http://host:port/path, or with https:// (port: 1 to 65535)")

func parseTarget(text string) (t target, err error) {
	u, err := url.Parse(text)
	if err != nil { // the error has the whole text, which may contain a secret
		return t, errNoURL
	}
	port, err := strconv.ParseUint(cmp.Or(u.Port(), "1"), 10, 16)
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.Opaque != "", err != nil, port == 0:
		return t, errNoURL
	case strings.ContainsAny(u.Host+u.User.String()+u.RawQuery, "{}"), u.User != nil && strings.Contains(u.User.String(), "%7B"):
		return t, errPlaceholder
	case strings.Contains(text, "#"):
		return t, errors.New("must not have a fragment (#)")
	}
	if t.base, t.path = *u, u.RawPath; t.path == "" {
		t.path = u.EscapedPath()
	}
	literal := make([]string, 0, 8)
	for segment := range strings.SplitSeq(t.path, "/") {
		switch segment {
		case "{hub}", "{category}", "{event}":
		default:
			literal = append(literal, segment)
		}
	}
	rest, err := url.ParseRequestURI("/" + strings.Join(literal, "/"))
	switch {
	case strings.ContainsAny(strings.Join(literal, ""), "{}"):
		return t, errPlaceholder
	case err != nil || rest.EscapedPath() != "/"+strings.Join(literal, "/"):
		return t, errors.New("the path has characters that must be escaped")
	}
	return t, nil
}

// maxSegment is the longest event in a URL in bytes.
const maxSegment = 256

// url returns the URL for an event. It fails if a server or a proxy might take the event for
// something else than one segment of the path, even after it has unescaped it.
func (t *target) url(hub, category, event string) (*url.URL, error) {
	if strings.Contains(t.path, "{event}") {
		if err := checkSegment(event); err != nil {
			return nil, err
		}
	}
	u := t.base
	u.RawPath = strings.NewReplacer("{hub}", escape(hub), "{category}", category, "{event}", escape(event)).Replace(t.path)
	var err error
	u.Path, err = url.PathUnescape(u.RawPath)
	return &u, err
}

// errTarget is wrapped by the errors about the target of an invocation.
var errTarget = errors.New("the target is not valid")

func checkSegment(s string) error {
	isOdd := func(r rune) bool { return r == '/' || r == '\\' || unicode.IsControl(r) }
	switch {
	case s == "", s == ".", s == "..", strings.ContainsFunc(s, isOdd), !utf8.ValidString(s):
		return fmt.Errorf("%w: it cannot be a segment of a path", errTarget)
	case len(s) > maxSegment:
		return fmt.Errorf("%w: it has more than %d bytes", errTarget, maxSegment)
	}
	return nil
}

// escape escapes all bytes but letters, digits and "-._~".
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
