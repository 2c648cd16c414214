package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carillon-go/carillon/internal/publish"
)

// publishes reports whether a hub has a key, so that the REST interface for publishing is served.
func (c *Config) publishes() bool {
	if c.AccessKeyFile != "" || c.APIKeyFile != "" {
		return !c.servesClock()
	}
	for _, h := range c.Hubs {
		if h.AccessKeyFile != "" || h.APIKeyFile != "" {
			return true
		}
	}
	return false
}

// oneNode says why messages do not reach all clients, or is empty if they do.
func (c *Config) oneNode() string {
	if !c.publishes() || !c.isClustered() || c.Redis != "" {
		return ""
	}
	return "messages that are published reach the clients of the node that gets the request, and are answered 202; with --redis they reach those of all nodes"
}

// publishing returns the handler of the REST interface for publishing.
func (s *Server) publishing() http.Handler {
	o := publish.Options{Hubs: &s.hubs, Logger: s.log}
	if len(s.config.Audiences) > 0 {
		o.PublicURL = s.config.Audiences[0]
	}
	if s.metrics != nil {
		o.Answered = s.metrics.Publishing()
	}
	return publish.New(o)
}

// serveAPI serves publishing at its own address, if there is one, until stop is called. stop waits
// for running requests.
func (s *Server) serveAPI(ctx context.Context) (stop func(context.Context) error, err error) {
	if s.config.APIAddr == "" {
		return func(context.Context) error { return nil }, nil
	}
	l, err := s.listen(ctx, s.config.APIAddr)
	if err != nil {
		return nil, fmt.Errorf("--api-addr: %w", err)
	}
	s.log.Info("serving the API", "address", addressOf(l.Addr()))
	e := echo.New()
	e.Logger.SetOutput(io.Discard) // errors are logged by slog
	e.IPExtractor = echo.ExtractIPDirect()
	e.Use(limitRest, logRequests(s.log, s.gate, func(*http.Request) bool { return true }), recoverPanics(s.gate))
	e.Any("/*", echo.WrapHandler(s.publishing()))
	server := newHTTPServer(s.gate)
	server.Handler, server.TLSConfig = s.behindProxies(e), s.http.TLSConfig.Clone()
	served := s.serveBeside(server, l, "API")
	return func(ctx context.Context) error {
		err := stopHTTP(ctx, server)
		<-served
		return err
	}, nil
}
