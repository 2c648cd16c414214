package hub

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// Disconnected ends the session; the connection's reader calls it once and last, when
// the connection has ended for whatever cause, nil if in order. It returns when
// OnDisconnected is through and nothing runs for the session any more.
func (s *Session) Disconnected(cause error) {
	s.deaf.Store(true)
	if errors.Is(cause, ErrSlowConsumer) {
		s.exceeded(&s.hub.refused.slowConsumers, "queue of a slow consumer")
	}
	if was := s.leave(); was != closing {
		s.conclude(was, cause)
	}
	s.running.Wait()
	if s.stateful != nil {
		s.stateful.release()
	}
	s.hub.sessions.remove(s)
	s.log(slog.LevelDebug, "ConnectedEnding")
}

// conclude does what the end of a session brings about, once.
func (s *Session) conclude(was phase, cause error) {
	defer s.running.Done()
	if was >= connecting {
		s.hub.lifetime.Disconnected(s)
	}
	s.unanswerable()
	still := s.settle()
	s.linger(still)
	s.cancel(cause)
	s.abandonUploads(errEnded)
	<-still
	if was >= connecting {
		s.farewell(cause)
	}
}

// linger gives invocations that came just before the end a moment to get through with
// a ctx that is not done, unless the session itself ended the connection.
func (s *Session) linger(still <-chan struct{}) {
	select {
	case <-still: // as nearly always
		return
	default:
	}
	timer := time.NewTimer(overtakeAfter)
	defer timer.Stop()
	select {
	case <-still:
	case <-s.ctx.Done():
	case <-timer.C:
	}
}

// farewell runs OnDisconnected, if OnConnected succeeded.
func (s *Session) farewell(cause error) {
	if s.input.ready != nil {
		<-s.input.ready
	}
	if !s.greeted.Load() || !s.hub.bidsFarewell() {
		return
	}
	if err := s.apart(func() error { s.runOnDisconnected(cause); return nil }); err != nil {
		s.log(slog.LevelError, "ErrorDispatchingHubEvent", slog.Any("error", err))
	}
}

// bidsFarewell reports whether anything runs when a client disconnects.
func (h *Hub) bidsFarewell() bool {
	return h.onDisconnected != nil ||
		slices.ContainsFunc(h.options.Filters, func(f Filter) bool { return f.Disconnect != nil })
}

// runOnDisconnected runs it within the filters.
func (s *Session) runOnDisconnected(cause error) {
	filteredDisconnect(context.WithoutCancel(s.ctx), cause, s.hub.options.Filters, func(ctx context.Context, cause error) {
		if s.hub.onDisconnected != nil {
			s.hub.onDisconnected(ctx, cause)
		}
	})
}
