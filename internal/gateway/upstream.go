package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/hubfile"
	"github.com/carillon-go/carillon/internal/upstream"
)

// connectTickets is the default of clients.tickets with clients.connect: the tickets carry the
// decision of the backend.
const connectTickets = 30 * time.Second

// backendShare is the divisor of the shutdown timeout for the last events of a hub: they get a
// quarter, so that invocations that wait for the backend do not use up all of it.
const backendShare = 4

// upstreamSettings returns the backend of a hub, or nil if it has none.
func upstreamSettings(h *hubfile.Hub) *upstream.Settings {
	if len(h.Upstream) == 0 && h.Clients.Connect == nil {
		return nil
	}
	s := &upstream.Settings{MaxRequests: h.Limits.UpstreamRequests}
	for _, u := range h.Upstream {
		s.Templates = append(s.Templates, upstream.Template(u))
	}
	if h.Clients.Connect != nil {
		c := upstream.Connect(*h.Clients.Connect)
		s.Connect = &c
	}
	return s
}

// validateUpstream refuses settings of a hub's backend that are not valid.
func validateUpstream(h *hubfile.Hub) error {
	s := upstreamSettings(h)
	if s == nil {
		return nil
	}
	var errs []error
	for _, failed := range s.Check(h.Name) {
		errs = append(errs, fmt.Errorf("%s: %w", hubKey(h.Name, failed.Key), failed.Err))
	}
	return errors.Join(errs...)
}

// attachBackend makes the hub of a site send its events to its backend, if it has one.
func (s *Server) attachBackend(st *site) error {
	settings := upstreamSettings(&st.settings)
	if settings == nil {
		return nil
	}
	if !s.config.hasAccessKeys(&st.settings) {
		s.log.Warn("webhooks not signed", "hub", st.settings.Name, "reason", "the hub has no access key")
	}
	o := upstream.Options{Logger: s.log}
	if st.metrics != nil {
		o.Meter = st.metrics.Upstream(func() upstream.Stats { return st.backend.Stats() })
	}
	var err error
	st.backend, err = upstream.New(st.hosted, settings, o)
	return err
}

// shutdown shuts the hub down, and then its backend: the last events are those of the ends of its
// connections.
func (st *site) shutdown(ctx context.Context) error {
	sooner := ctx
	if end, ok := ctx.Deadline(); ok && st.backend != nil {
		var cancel context.CancelFunc
		sooner, cancel = context.WithDeadline(ctx, end.Add(-time.Until(end)/backendShare))
		defer cancel()
	}
	err := ofAll(st.endpoints(), func(e *endpoint.Endpoint) error { return e.Shutdown(sooner) })
	if st.backend != nil {
		err = errors.Join(err, st.backend.Shutdown(ctx))
	}
	return err
}
