package hub

import (
	"context"
	"errors"
	"time"

	"github.com/carillon-go/carillon/internal/dispatch"
	"github.com/carillon-go/carillon/internal/guard"
)

// Disconnected ends the session. The connection's reader calls it once, as its last call,
// after the connection has ended. cause is nil after an orderly end. Disconnected returns
// when OnDisconnected has returned and nothing runs for the session any longer.
func (s *Session) Disconnected(cause error) {
	if errors.Is(cause, ErrSlowConsumer) {
		s.log().refusal(&s.hub.refused.slowConsumers, "queue of a slow consumer")
	}
	if was := s.out.phase.startClosing(); was != closing {
		s.conclude(was, cause)
	}
	s.tasks.Running.Wait()
	if s.out.buffer != nil {
		s.out.buffer.release()
	}
	s.hub.sessions.remove(s)
	s.log().ended(s.opening.logged, s.input.received)
}

// conclude does the work at the end of a session, once.
func (s *Session) conclude(was phase, cause error) {
	defer s.tasks.Running.Done()
	var groups []string
	if was >= connecting {
		groups = s.hub.local.membersOf(s).remove(s)
	}
	for _, q := range s.results.close() {
		q.forget()
		q.complete(disconnected(s.caller.id))
	}
	still := s.tasks.Close()
	s.graceWait(still)
	s.cancel(cause)
	s.endRelayed(cause)
	s.streams.close(errEnded)
	<-still
	if was >= connecting {
		s.runOnDisconnected(cause)
		if b := s.hub.backplane; b != nil {
			b.Leave(s.caller.audiences(groups)...)
		}
	}
}

// graceWait gives invocations that arrived just before the end up to dispatch.OvertakeAfter to
// return before their ctx ends, unless the session itself has ended the connection.
func (s *Session) graceWait(still <-chan struct{}) {
	select {
	case <-still: // the usual case
		return
	default:
	}
	timer := time.NewTimer(dispatch.OvertakeAfter)
	defer timer.Stop()
	select {
	case <-still:
	case <-s.ctx.Done():
	case <-timer.C:
	}
}

// runOnDisconnected runs OnDisconnected, if OnConnected succeeded.
func (s *Session) runOnDisconnected(cause error) {
	if s.opening.ready != nil {
		<-s.opening.ready
	}
	if !s.opening.connected.Load() || s.hub.onDisconnected == nil && !s.hub.hasDisconnectFilter {
		return
	}
	if err := guard.Call(context.Background(), func() error {
		s.hub.runOnDisconnected(context.WithoutCancel(s.ctx), cause)
		return nil
	}); err != nil {
		s.log().failure(s.ctx, callbackFailures, "callback", "OnDisconnected", err)
	}
}

// runOnDisconnected calls OnDisconnected within the filters.
func (h *Hub) runOnDisconnected(ctx context.Context, cause error) {
	filteredDisconnect(ctx, cause, h.options.Filters, func(ctx context.Context, cause error) {
		if h.onDisconnected != nil {
			h.onDisconnected(ctx, cause)
		}
	})
}
