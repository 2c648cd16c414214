package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/serviceclient"
)

// routes returns the handler of all requests. The hub's answers go straight to the
// connection: no middleware here buffers or compresses them, and Flush and Hijack reach the
// connection.
func (s *Server) routes() (http.Handler, error) {
	e := echo.New()
	e.Logger.SetOutput(io.Discard) // errors are logged by slog
	e.IPExtractor = echo.ExtractIPDirect()

	e.Use(limitRest, logRequests(s.log, s.gate, s.isTraffic), recoverPanics(s.gate), s.checkHost, s.mount)

	e.Match([]string{http.MethodGet, http.MethodHead}, "/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.Match([]string{http.MethodGet, http.MethodHead}, "/readyz", s.readyz)
	if !s.config.servesClock() {
		return e, nil
	}
	page, err := pageHandler(s.config.Path)
	if err != nil {
		return nil, err
	}
	e.Match([]string{http.MethodGet, http.MethodHead}, "/", echo.WrapHandler(page))
	e.Match([]string{http.MethodGet, http.MethodHead}, "/assets/*", echo.WrapHandler(page))
	return e, nil
}

// readyz reports to a load balancer whether to send new clients here. It answers 503 from the
// beginning of the shutdown, long before the last connection closes. Without Redis the answer
// stays 200: otherwise one fault would take all nodes out of the balancer.
func (s *Server) readyz(c echo.Context) error {
	if !s.ready.Load() {
		return c.String(http.StatusServiceUnavailable, "not ready\n")
	}
	if s.isDegraded() {
		return c.String(http.StatusOK, "ready, degraded: Redis is unavailable\n")
	}
	return c.String(http.StatusOK, "ready\n")
}

// part is the kind of a path that an endpoint serves.
type part uint8

const (
	traffic part = iota + 1 // of clients
	script                  // which pages of any origin may load
	diagnosis
)

// place is what a path leads to.
type place struct {
	handler http.Handler
	part    part
}

// places returns what paths lead to: those of hubs as they are written and in upper case, and all
// paths below some first segments.
func (s *Server) places() (byPath, below map[string]place) {
	byPath, below = map[string]place{}, map[string]place{}
	add := func(h http.Handler, kind part, paths ...string) {
		for _, path := range paths {
			byPath[path], byPath[fold.Upper(path)] = place{h, kind}, place{h, kind}
		}
	}
	hasRedirects := s.applications != nil
	for _, st := range s.sites {
		hasRedirects = hasRedirects || st.redirects != nil
		if st.endpoint == nil {
			continue
		}
		paths := endpoint.PathsAt(st.settings.Path)
		add(st.endpoint, traffic, paths.Clients...)
		add(st.endpoint, script, paths.Script)
		add(st.endpoint, diagnosis, paths.Diagnose)
	}
	if hasRedirects {
		find := func(hub string) *serviceclient.Endpoint {
			if st := s.siteOf(hub); st != nil {
				return st.redirects
			}
			return nil
		}
		add(serviceclient.Handler(find), traffic, serviceclient.Paths()...)
	}
	if s.applications != nil {
		below["server"] = place{s.applications, traffic}
	}
	if s.config.publishes() && s.config.APIAddr == "" {
		below["api"] = place{s.publishing(), traffic}
	}
	return byPath, below
}

// placeOf returns what a path leads to. A hub's paths ignore case and may end in a slash.
func (s *Server) placeOf(path string) place {
	path = strings.TrimSuffix(path, "/")
	if found, ok := s.byPath[path]; ok { // most paths: the folded form would be allocated
		return found
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if found, ok := s.below[strings.ToLower(first)]; ok { // no hub is there
		return found
	}
	return s.byPath[fold.Upper(path)]
}

// isTraffic reports whether a request is a negotiation or one of the many requests of a
// connection.
func (s *Server) isTraffic(r *http.Request) bool { return s.placeOf(r.URL.Path).part == traffic }

// mount passes requests for hubs to their endpoints before routing, which distinguishes case.
func (s *Server) mount(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if place := s.placeOf(c.Request().URL.Path); place.handler != nil {
			place.handler.ServeHTTP(c.Response(), c.Request())
			return nil
		}
		return next(c)
	}
}

// isHub reports whether a path belongs to a hub. Its script does, because pages of any origin may
// load it.
func (s *Server) isHub(path string) bool {
	part := s.placeOf(path).part
	return part == traffic || part == script
}

// limitRest gives a client restTimeout to send the rest of a request body after the answer:
// the HTTP server reads the rest before the next request, and waits for it when it shuts
// down.
func limitRest(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if answer := c.Response(); c.Request().ContentLength != 0 {
			answer.Before(func() {
				_ = http.NewResponseController(answer).SetReadDeadline(time.Now().Add(restTimeout))
			})
		}
		return next(c)
	}
}

// recoverPanics answers 500 if a handler panics, and logs the stack.
func recoverPanics(gate *floodgate.Gate) echo.MiddlewareFunc {
	return middleware.RecoverWithConfig(middleware.RecoverConfig{
		LogErrorFunc: func(_ echo.Context, err error, stack []byte) error {
			k := floodgate.Kind{Level: slog.LevelError, Event: "request handler panicked", Burst: requestBurst}
			gate.Log(k, func() []slog.Attr {
				return []slog.Attr{slog.String("error", err.Error()), slog.String("stack", string(stack))}
			})
			return err
		},
	})
}
