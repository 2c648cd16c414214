package accesskey

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
)

// Kind is the kind of a token: the door that it opens. The audience of the token names it. The path is
// compared exactly, and the query has the hub and nothing else. Scheme, host and port are compared
// if Options.Audiences are set.
type Kind string

// The kinds of tokens.
const (
	// Client opens connections of clients. The audience is {URL}/client/?hub={hub}.
	Client Kind = "/client/"
	// Server opens connections of application servers. The audience is
	// {URL}/server/?hub={hub}.
	Server Kind = "/server/"
	// API makes one request of the REST interface. The audience is the URL of the request, with
	// all parameters of its query, with some or without, and with a slash at its end or without.
	API Kind = "/api/"
)

// isFor reports whether the audience of the token is of a kind and for a hub, or for the request r
// if the kind is API. A token without an audience is for nothing.
func (t *Token) isFor(kind Kind, hub string, r *http.Request) bool {
	u, err := url.Parse(t.audience)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Contains(t.audience, "#") {
		return false
	}
	query, err := url.ParseQuery(u.RawQuery)
	switch {
	case err != nil:
		return false
	case kind == API:
		return isRequest(u, query, r)
	}
	return u.EscapedPath() == string(kind) && len(query) == 1 && len(query["hub"]) == 1 && fold.Equal(query.Get("hub"), hub)
}

// isHere reports whether the audience of the token is at one of the public URLs, if there are any.
func (k *Keys) isHere(t *Token) bool {
	if len(k.audiences) == 0 {
		return true
	}
	u, err := url.Parse(t.audience)
	return err == nil && slices.ContainsFunc(k.audiences, func(public *url.URL) bool { return isAt(u, public) })
}

// isAt reports whether the scheme, host and port of an audience are those of a public URL. An
// audience without a port is of every port, because Azure's SDK leaves the port out.
func isAt(u, public *url.URL) bool {
	return u.Scheme == public.Scheme && fold.Equal(u.Hostname(), public.Hostname()) && (u.Port() == "" || u.Port() == portOf(public))
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// isRequest reports whether u has the path of r, and its query has no parameters with values that
// the query of r lacks. Azure's SDK signs the URL before it adds some of the parameters.
func isRequest(u *url.URL, query url.Values, r *http.Request) bool {
	if path := r.URL.Path; len(path) < len(API) || !fold.Equal(path[:len(API)], string(API)) || !samePath(u.EscapedPath(), r.URL.EscapedPath()) {
		return false
	}
	asked, err := url.ParseQuery(r.URL.RawQuery)
	for name, values := range query {
		if err != nil || !slices.Equal(values, asked[name]) {
			return false
		}
	}
	return true
}

// samePath reports whether two escaped paths have the same segments. One slash at the end does
// not count.
func samePath(a, b string) bool {
	return slices.EqualFunc(segments(a), segments(b), func(a, b string) bool {
		x, errX := url.PathUnescape(a)
		y, errY := url.PathUnescape(b)
		return errX == nil && errY == nil && x == y
	})
}

func segments(path string) []string { return strings.Split(strings.TrimSuffix(path, "/"), "/") }
