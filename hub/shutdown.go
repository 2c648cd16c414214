package hub

import "context"

// Shutdown ends every session: new invocations are not looked at any more, streams
// are cancelled, and once the running invocations are through, or ctx is done, the
// client gets a close message that invites it to reconnect. Shutdown returns when all
// connections are gone, or with ctx's error. Connections that come later are closed.
func (h *Hub) Shutdown(ctx context.Context) error {
	gone := h.sessions.close()
	for _, s := range h.sessions.snapshot(nil) {
		s.drain()
	}
	select {
	case <-gone:
		h.sessions.running.Wait()
		return nil
	case <-ctx.Done():
	}
	for _, s := range h.sessions.snapshot(nil) {
		s.close(ErrShutdown, "", true)
	}
	return context.Cause(ctx)
}

// drain ends the session as a shutdown does.
func (s *Session) drain() {
	s.draining.Store(true)
	if s.phase.Load() == shaking {
		s.close(ErrShutdown, "", true)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.streams {
		c.cancel()
	}
	s.advance()
}

// drained ends a session that drains and has nothing left to do. The lock is held.
func (s *Session) drained() {
	if s.draining.Load() && s.line.beside == 0 && s.line.idle() {
		s.line.beside++ // once
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			s.close(ErrShutdown, "", true)
		}()
	}
}

// startBeside notes that something is going to run beside the line; endBeside that it
// is through.
func (s *Session) startBeside() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line.beside++
	s.running.Add(1)
}

func (s *Session) endBeside() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line.beside--
	s.drained()
	s.running.Done()
}
