package hub

import (
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/dispatch"
)

// sweepInterval is the time between two checks; it equals the original's heartbeat.
const sweepInterval = time.Second

// sweep checks all sessions of a hub once a second, on one goroutine that runs while
// there are sessions.
type sweep struct {
	mu      sync.Mutex
	all     []*Session // each session at index place
	closed  bool
	stop    chan struct{} // closed to end the goroutine
	emptied chan struct{} // closed when a closed sweep has no more sessions
	running sync.WaitGroup
	workers *dispatch.Pool // run the invocations
}

// add adds a session. It returns false if the hub is shut down.
func (w *sweep) add(s *Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		s.place = -1
		return false
	}
	s.place = int32(len(w.all)) //nolint:gosec // fewer than 2^31 connections
	w.all = append(w.all, s)
	if len(w.all) == 1 {
		w.stop = make(chan struct{})
		w.running.Add(1)
		go w.run(w.stop)
		w.workers.Join()
	}
	return true
}

func (w *sweep) remove(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.place < 0 {
		return
	}
	last := len(w.all) - 1
	w.all[s.place] = w.all[last]
	w.all[s.place].place = s.place
	w.all[last] = nil
	w.all = w.all[:last]
	if last > 0 {
		return
	}
	close(w.stop)
	w.workers.Leave()
	if w.closed {
		close(w.emptied)
	}
}

// close prevents further adds. It returns a channel that is closed when all sessions have
// been removed.
func (w *sweep) close() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		w.emptied = make(chan struct{})
		if len(w.all) == 0 {
			close(w.emptied)
		}
	}
	return w.emptied
}

// snapshot copies the sessions into buffer.
func (w *sweep) snapshot(buffer []*Session) []*Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(buffer[:0], w.all...)
}

func (w *sweep) run(stop <-chan struct{}) {
	defer w.running.Done()
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	var sessions []*Session
	for {
		select {
		case now := <-ticker.C:
			sessions = w.snapshot(sessions)
			for _, s := range sessions {
				s.checkTimeouts(now)
			}
			clear(sessions)
		case <-stop:
			return
		}
	}
}
