package gateway

import (
	"context"
	"errors"
	"fmt"
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("metrics not served", "error", err)
		}
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}
