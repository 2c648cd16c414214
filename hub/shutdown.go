package hub

import (
	"context"
	"time"
)

// Drain begins the end of a hub with many clients: it ends their sessions as Shutdown
// does, but spread over window, so that they do not all come back in one instant. The
// pace is at least minPace, so that few clients are through sooner. It returns when the
// last of them has been asked to leave, or with ctx's error; it does not wait for what
// they still run, that is for Shutdown. Connections that come later are closed.
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

// Drain ends sessions in slices, one at each sliceInterval. No server has trouble with
// minPace clients that come back in a second.
const (
	sliceInterval = 100 * time.Millisecond
	minPace       = 100
)

// sliceSize is how many sessions each slice has if all are to be through within window.
func sliceSize(sessions int, window time.Duration) int {
	slices := max(1, int(window/sliceInterval))
	return max((sessions+slices-1)/slices, int(minPace*sliceInterval/time.Second))
}

// Shutdown ends every session: new invocations are not looked at any more, streams
// are cancelled, and once the running invocations are through, or ctx is done, the
// connection ends. A client that may reconnect statefully gets a close message before that
// which invites it to reconnect. An upload that its client
// has not ended when half of the time to ctx's deadline is over ends with ErrShutdown,
// so that its method has the other half to conclude. Shutdown returns when all
// connections are gone, or with ctx's error. Connections that come later are closed.
func (h *Hub) Shutdown(ctx context.Context) error {
	gone := h.sessions.close()
	for _, s := range h.sessions.snapshot(nil) {
		s.drain()
	}
	if !h.awaitUploads(ctx, gone) {
		for _, s := range h.sessions.snapshot(nil) {
			s.abandonUploads(ErrShutdown)
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

// awaitUploads waits for half of the time to ctx's deadline, and tells whether all
// sessions were gone before.
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

// Hanger is a Connection whose transport has a closing handshake of its own, which some
// clients take for the wish that they stay away.
type Hanger interface {
	// HangUp ends the connection as Close does, but without that handshake.
	HangUp(cause error)
}

// dismiss ends the session because the hub shuts down. A client that may reconnect statefully
// gets a close message that invites it to reconnect. Others get none, for some take any close
// message for the end and never come back: @microsoft/signalr 3.0 and signalrcore. All of
// them reconnect when the connection just ends.
func (s *Session) dismiss() {
	was := s.startClosing()
	if was == closing {
		return
	}
	if s.buffer != nil && was != handshaking {
		s.endSession(was, ErrShutdown, s.wire.closing("", true))
		return
	}
	closeConnection := s.conn.Close
	if c, ok := s.conn.(Hanger); ok {
		closeConnection = c.HangUp
	}
	s.endSessionBy(closeConnection, was, ErrShutdown, nil)
}

// drain ends the session as a shutdown does.
func (s *Session) drain() {
	s.draining.Store(true)
	if s.phase.Load() == handshaking {
		s.dismiss()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.streams {
		c.cancelLocked()
	}
	s.dispatchLocked()
}

// dismissIfDrainedLocked ends a session that drains and has nothing left to do. The lock is held, and
// one that is closing cannot get to its end before it is free; one that got there has
// nothing that may be counted any more.
func (s *Session) dismissIfDrainedLocked() {
	if s.phase.Load() != closing && s.draining.Load() && s.tasks.concurrent == 0 && s.tasks.isDone() {
		s.tasks.concurrent++ // once
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			s.dismiss()
		}()
	}
}

// startConcurrent notes that something is going to run beside the line; endBeside that it
// is through.
func (s *Session) startConcurrent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks.concurrent++
	s.running.Add(1)
}

func (s *Session) endConcurrent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks.concurrent--
	s.dismissIfDrainedLocked()
	s.running.Done()
}
