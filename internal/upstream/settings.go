package upstream

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	normalRequests       = 256
	normalTimeout        = 10 * time.Second
	normalConnectTimeout = 5 * time.Second

	maxTimeout  = 10 * time.Minute
	maxRequests = 100_000
)

// Settings are the backend of one hub.
type Settings struct {
	// Templates say where events go. The first that matches an event gets it. An event that none
	// matches is not sent, and an invocation that none matches fails as one of a method that does
	// not exist.
	Templates []Template
	// Connect asks the backend who may connect. Default nil: it is not asked.
	Connect *Connect
	// MaxRequests is the number of invocations and connected events that the backend handles at a
	// time. Others wait, as long as the timeout of their template. As many calls of Connect may
	// run in addition, and a quarter as many disconnected events. From 1 to 100,000. Default 256.
	MaxRequests int
}

// Template is the place for some events.
type Template struct {
	// URL gets the events by POST. The segments {hub}, {category} and {event} of its path are
	// replaced by the hub's name, by "connections" or "messages", and by "connected",
	// "disconnected" or the target of the invocation.
	URL string
	// Categories and Events are patterns of hosting.Matches for the events. They ignore case.
	// Default all.
	Categories, Events []string
	// Format "json" sends invocations in JSON. Default "": in the hub protocol of the client.
	Format string
	// Timeout is the time for one event, including the wait for its turn. At most 10 minutes.
	// Default 10 s.
	Timeout time.Duration
}

// Connect is the call that decides who may connect.
type Connect struct {
	// URL gets the call by POST. Its path may have the segment {hub}.
	URL string
	// Headers and Cookies are the names of those that are passed on from the client's request.
	// Names of headers ignore case. Default none.
	Headers, Cookies []string
	// Timeout is the time for one call, including the wait for its turn. At most 10 minutes.
	// Default 5 s.
	Timeout time.Duration
}

// SettingError reports that a setting is not valid.
type SettingError struct {
	Key string // as in the configuration file, in the hub: "upstream[1].url", "clients.connect.timeout"
	Err error
}

func (e *SettingError) Error() string { return e.Key + ": " + e.Err.Error() }
func (e *SettingError) Unwrap() error { return e.Err }

// Check returns all errors of the settings for the hub with a name.
func (s *Settings) Check(hubName string) []*SettingError {
	_, errs := s.compile(hubName)
	return errs
}

// plan is the compiled form of Settings. It is not changed.
type plan struct {
	routes  []route
	connect *connectRoute
	slots   chan struct{} // has an element for each invocation and connected event that runs
	calls   chan struct{} // the same for calls of Connect
}

type connectRoute struct {
	url              *url.URL
	headers, cookies []string
	timeout          time.Duration
}

func (s *Settings) compile(hubName string) (*plan, []*SettingError) {
	var errs []*SettingError
	below := func(path string) func(string, error) {
		return func(key string, err error) {
			if err != nil {
				errs = append(errs, &SettingError{path + key, err})
			}
		}
	}
	n := cmp.Or(s.MaxRequests, normalRequests)
	if n < 1 || n > maxRequests {
		below("limits.")("upstream-requests", fmt.Errorf("must be from 1 to %d", maxRequests))
		n = 0
	}
	p := &plan{slots: make(chan struct{}, n), calls: make(chan struct{}, n)}
	for i := range s.Templates {
		p.routes = append(p.routes, s.Templates[i].compile(below(fmt.Sprintf("upstream[%d].", i))))
	}
	if s.Connect != nil {
		p.connect = s.Connect.compile(hubName, below("clients.connect."))
	}
	return p, errs
}

func (t *Template) compile(note func(key string, err error)) (r route) {
	var err error
	r.target, err = parseTarget(t.URL)
	note("url", err)
	r.timeout, err = timeout(t.Timeout, normalTimeout)
	note("timeout", err)
	if r.json = t.Format == "json"; !r.json && t.Format != "" {
		note("format", errors.New(`must be "json", or left out for the protocol of the client`))
	}
	r.categories, r.events = folded(t.Categories), folded(t.Events)
	return r
}

func (c *Connect) compile(hubName string, note func(key string, err error)) *connectRoute {
	r := &connectRoute{cookies: c.Cookies}
	to, err := parseTarget(c.URL)
	switch {
	case err != nil:
	case strings.Contains(to.path, "{category}") || strings.Contains(to.path, "{event}"):
		err = errors.New("may have {hub} only")
	default:
		r.url, err = to.url(hubName, "", "")
	}
	note("url", err)
	r.timeout, err = timeout(c.Timeout, normalConnectTimeout)
	note("timeout", err)
	for _, name := range c.Headers {
		if !httpguts.ValidHeaderFieldName(name) {
			note("headers", fmt.Errorf("%q is not the name of a header", name))
		}
		if name = http.CanonicalHeaderKey(name); name == "Cookie" {
			note("headers", errors.New("cookies are passed on by their names: see cookies"))
		}
		r.headers = append(r.headers, name)
	}
	for _, name := range c.Cookies {
		if !httpguts.ValidHeaderFieldName(name) { // both are tokens
			note("cookies", fmt.Errorf("%q is not the name of a cookie", name))
		}
	}
	return r
}

func timeout(t, normal time.Duration) (time.Duration, error) {
	if t < 0 || t > maxTimeout {
		return 0, fmt.Errorf("must be positive, and at most %v", maxTimeout)
	}
	return cmp.Or(t, normal), nil
}
