package hub

import (
	"context"
	"time"
)

// Drain ends the sessions as Shutdown does, but spreads the ends over window, so that the
// clients do not all reconnect at once. It ends at least 100 sessions per second, so a
// small hub takes less time. Drain returns when all sessions have been asked to end, or
// when ctx is done, with its cause. It does not wait for running invocations; Shutdown
// does. Later connections are closed.
func (h *Hub) Drain(ctx context.Context, window time.Duration) error {
	gone := h.sessions.close()
	waiting := h.sessions.snapshot(nil)
	size := sliceSize(len(waiting), window)
	ticker := time.NewTicker(sliceInterval)
	defer ticker.Stop()
	for {
		n := min(size, len(waiting))
		for _, s := range waiting[:n] {
			s.drain()
		}
		if waiting = waiting[n:]; len(waiting) == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-gone:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Drain ends one slice of sessions every sliceInterval. minPace is the lowest rate per
// second; any server can handle that many reconnects.
const (
	sliceInterval = 100 * time.Millisecond
	minPace       = 100
)

// sliceSize returns the number of sessions per slice that ends all sessions within
// window.
func sliceSize(sessions int, window time.Duration) int {
	slices := max(1, int(window/sliceInterval))
	return max((sessions+slices-1)/slices, int(minPace*sliceInterval/time.Second))
}

// Shutdown ends every session. New invocations are ignored and streams are cancelled. A
// connection ends when its running invocations have returned or when ctx is done. A
// client with stateful reconnect first gets a close message that allows it to reconnect.
// Uploads that are still open after half of the time to ctx's deadline end with
// ErrShutdown, so that their methods have the other half to return. Shutdown returns when
// all connections have ended, or when ctx is done, with its cause. Later connections are
// closed.
func (h *Hub) Shutdown(ctx context.Context) error {
	defer h.gate.Close()
	gone := h.sessions.close()
	for _, s := range h.sessions.snapshot(nil) {
		s.drain()
	}
	if !h.awaitUploads(ctx, gone) {
		for _, s := range h.sessions.snapshot(nil) {
			s.streams.close(ErrShutdown)
		}
	}
	select {
	case <-gone:
		h.sessions.running.Wait()
		return nil
	case <-ctx.Done():
	}
	for _, s := range h.sessions.snapshot(nil) {
		s.dismiss()
	}
	return context.Cause(ctx)
}

// awaitUploads waits for half of the time to ctx's deadline. It reports whether all
// sessions ended in that time.
func (h *Hub) awaitUploads(ctx context.Context, gone <-chan struct{}) bool {
	if deadline, ok := ctx.Deadline(); ok {
		half, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
		ctx = half
	}
	select {
	case <-gone:
		return true
	case <-ctx.Done():
		return false
	}
}

// Hanger is implemented by a Connection with a transport that has its own closing
// handshake. Some clients do not reconnect after that handshake.
type Hanger interface {
	// HangUp ends the connection as Close does, but without the closing handshake.
	HangUp(cause error)
}

// dismiss ends the session because the hub shuts down. A client with stateful reconnect
// gets a close message that allows it to reconnect. Other clients get no close message:
// some, such as @microsoft/signalr 3.0 and signalrcore, never reconnect after one. All
// clients reconnect after the connection just ends.
func (s *Session) dismiss() { s.lose(ErrShutdown) }

// lose ends the session, as dismiss does, with a cause.
func (s *Session) lose(cause error) {
	was := s.out.phase.startClosing()
	if was == closing {
		return
	}
	if s.out.buffer != nil && was != handshaking {
		s.endSession(was, cause, s.out.wire.closing("", true), false)
	} else {
		s.endSession(was, cause, nil, true)
	}
}

// drain starts the end of the session for a shutdown.
func (s *Session) drain() {
	if s.out.phase.current() == handshaking {
		s.dismiss()
		return
	}
	s.tasks.Drain(s.dismiss)
	s.out.phase.startDraining()
	s.streams.cancelAll()
}
