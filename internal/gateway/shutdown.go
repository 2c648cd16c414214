package gateway

import (
	"context"
	"errors"
	"time"
)

// workerShare of the time for the shutdown is what workers get to end: one that
// does not must not keep the clients from being told.
const workerShare = 4

// shutdown ends everything in order, each step waited for: no new connections, the
// clients told one after another, who stay in the clock's time until then; no more
// application messages, what still runs through and every queue drained, and only then
// the HTTP server, which carries all that.
func (s *Server) shutdown() error {
	s.ready.Store(false)
	s.log.Info("shutting down", "drain", s.config.Drain, "timeout", s.config.ShutdownTimeout)
	began := time.Now()
	defer s.endKeys()
	err := s.hub.DrainOver(context.Background(), s.config.Drain)

	ctx, cancel := context.WithTimeout(context.Background(), s.config.ShutdownTimeout)
	defer cancel()
	err = errors.Join(err, s.stopWorkers(ctx), s.hub.Shutdown(ctx), s.stopHTTP(ctx))
	s.log.Info("stopped", "duration", time.Since(began), "orderly", err == nil)
	return err
}

func (s *Server) stopWorkers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.ShutdownTimeout/workerShare)
	defer cancel()
	return s.workers.Stop(ctx)
}

// stopHTTP waits for the requests that still run, and cuts them at the deadline.
func (s *Server) stopHTTP(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	return err
}
