package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/authlog"
	"github.com/carillon-go/carillon/internal/httpstop"
)

// workerShare is the divisor of the shutdown timeout for workers: they get a quarter, so that
// a stuck worker cannot delay closing the clients.
const workerShare = 4

// shutdown stops everything in order and waits for each step. The hubs refuse new connections
// and close their clients one after another, while the clock still ticks for the remaining
// ones. Then the workers stop. Then running invocations finish and every queue drains. The
// HTTP server, which carries all of this, stops last.
func (s *Server) shutdown() error {
	s.ready.Store(false)
	s.made.mu.Lock()
	s.made.closed = true
	s.made.mu.Unlock()
	s.log.Info("shutting down", "drain_s", s.config.Drain.Seconds(), "timeout_s", s.config.ShutdownTimeout.Seconds())
	began := time.Now()
	drained := ofAll(s.endpoints(), func(e *endpoint.Endpoint) error { return e.DrainOver(context.Background(), s.config.Drain) })
	if s.node != nil { // requests for other nodes arrive until the balancer has noticed
		time.Sleep(time.Until(began.Add(s.config.Drain))) // until the end of --drain
	}
	s.endKeys() // a provider of keys that does not answer must not delay the rest

	ctx, cancel := context.WithTimeout(context.Background(), s.config.ShutdownTimeout)
	defer cancel()
	workersStopped := s.stopWorkers(ctx)
	hubStopped := ofAll(s.allSites(), func(st *site) error { return st.shutdown(ctx) })
	if s.applications != nil { // their clients have ended
		hubStopped = errors.Join(hubStopped, s.applications.Shutdown(ctx))
		for _, st := range s.allSites() {
			if st.servers != nil {
				st.servers.Close()
			}
		}
	}
	httpStopped := errors.Join(stopHTTP(ctx, s.http), s.stopAPI(ctx))
	clusterStopped := s.stopCluster(ctx)
	err := errors.Join(drained, workersStopped, hubStopped, httpStopped, clusterStopped)
	s.gate.Close()
	authlog.Flush()
	drainedClients, cutClients := s.ended()
	s.log.Info("stopped", "duration_s", time.Since(began).Seconds(), "orderly", err == nil, "drained", drainedClients, "cut", cutClients)
	return err
}

// ofAll calls f for all at the same time and joins the errors.
func ofAll[T any](all []T, f func(T) error) error {
	errs := make([]error, len(all))
	var running sync.WaitGroup
	for i, one := range all {
		running.Go(func() { errs[i] = f(one) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// ended returns the numbers of all connections that were drained, and of those that were cut.
func (s *Server) ended() (drained, cut int) {
	for _, e := range s.endpoints() {
		d, c := e.Ended()
		drained, cut = drained+d, cut+c
	}
	return drained, cut
}

func (s *Server) stopWorkers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.ShutdownTimeout/workerShare)
	defer cancel()
	return s.workers.Stop(ctx)
}

// stopHTTP waits for running requests and cuts them at the deadline of ctx.
func stopHTTP(ctx context.Context, server *http.Server) error {
	err := httpstop.Shutdown(ctx, server)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	return err
}
