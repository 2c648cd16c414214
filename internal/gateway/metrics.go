package gateway

import (
	"context"
	"errors"
	"net/http"
)

// serveMetrics serves what operators see at an address of its own, until the end of the
// shutdown, which is worth seeing too. stop waits for that.
func (s *Server) serveMetrics(ctx context.Context) (stop func(), err error) {
	if s.metrics == nil {
		return func() {}, nil
	}
	l, err := listen(ctx, s.config.MetricsAddr)
	if err != nil {
		return nil, err
	}
	s.log.Info("metrics", "listens", l.Addr().String())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", onlyHosts(s.config.newHosts(l.Addr()), s.metrics.Handler()))
	server := newHTTPServer(s.log)
	server.Handler = mux
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("metrics", "error", err)
		}
	}()
	return func() {
		_ = server.Close()
		<-done
	}, nil
}
