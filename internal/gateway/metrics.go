package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// serveMetrics serves the metrics at their own address until stop is called. stop closes the
// server and waits for it. Serve calls it after the shutdown, so that the metrics cover the
// shutdown, too.
func (s *Server) serveMetrics(ctx context.Context) (stop func(), err error) {
	if s.metrics == nil {
		return func() {}, nil
	}
	l, err := listen(ctx, s.config.MetricsAddr)
	if err != nil {
		return nil, fmt.Errorf("--metrics-addr: %w", err)
	}
	s.metricsAt = l.Addr()
	s.log.Info("serving metrics", "address", s.metricsAt.String())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", onlyHosts(s.config.newHosts(l.Addr()), s.metrics.Handler()))
	server := newHTTPServer(s.gate)
	server.Handler = mux
	served := s.serveBeside(server, l, "metrics")
	return func() {
		_ = server.Close()
		<-served
	}, nil
}

// serveBeside serves on l, and logs a failure with the name of what is not served. served is closed
// at the end.
func (s *Server) serveBeside(server *http.Server, l net.Listener, name string) (served <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := serveHTTP(server, l); err != nil {
			s.log.Error("listener failed", "serves", name, "error", err)
		}
	}()
	return done
}
