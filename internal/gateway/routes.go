package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/fold"
)

// routes returns the handler of all requests. The hub's answers go straight to the
// connection: no middleware here buffers or compresses them, and Flush and Hijack reach the
// connection.
func (s *Server) routes() (http.Handler, error) {
	page, err := pageHandler(s.config.Path)
	if err != nil {
		return nil, err
	}
	paths := endpoint.PathsAt(s.config.Path)
	e := echo.New()
	e.Logger.SetOutput(io.Discard) // errors are logged by slog
	e.IPExtractor = echo.ExtractIPDirect()

	e.Use(limitRest, logRequests(s.log, s.gate, s.isTraffic), recoverPanics(s.gate), s.checkHost, mount(append(paths.Clients, paths.Script, paths.Diagnose), s.hub))

	e.Match([]string{http.MethodGet, http.MethodHead}, "/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	e.Match([]string{http.MethodGet, http.MethodHead}, "/readyz", s.readyz)
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

// isTraffic reports whether a request is a negotiation or one of the many requests of a
// connection.
func (s *Server) isTraffic(r *http.Request) bool {
	return isOneOf(endpoint.PathsAt(s.config.Path).Clients, r.URL.Path)
}

// mount passes requests for the hub to h before routing, because a hub's paths ignore case
// and may end in a slash.
func mount(paths []string, h http.Handler) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if !isOneOf(paths, c.Request().URL.Path) {
				return next(c)
			}
			h.ServeHTTP(c.Response(), c.Request())
			return nil
		}
	}
}

// isOneOf reports whether path is one of paths, which ignore case and may end in a slash.
func isOneOf(paths []string, path string) bool {
	path = strings.TrimSuffix(path, "/")
	return slices.ContainsFunc(paths, func(known string) bool { return fold.Equal(path, known) })
}

// isHub reports whether a path belongs to the hub. Its script does, because pages of any
// origin may load it.
func (c *Config) isHub(path string) bool {
	paths := endpoint.PathsAt(c.Path)
	return path == paths.Script || isOneOf(paths.Clients, path)
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
