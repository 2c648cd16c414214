package hub

import "sync/atomic"

// Holder is a Connection that counts what a session keeps for it together with what waits in
// the queues of all connections.
type Holder interface {
	// Hold counts n bytes more, or fewer if n is negative. It reports whether so much waits in
	// all connections together that a session which keeps something already must not keep more.
	Hold(n int) (full bool)
}

// hold is Holder's Hold; a Connection that is none is never full.
func (s *Session) hold(n int) (full bool) {
	if c, ok := s.conn.(Holder); ok {
		return c.Hold(n)
	}
	return false
}

// maxUploaded is how many bytes of items may wait in all uploads of a client before nothing
// more is read. Once decoded they may be several times as long.
const maxUploaded = 1 << 20

// uploadBudget is what all uploads of a session hold together.
type uploadBudget struct {
	held  atomic.Int64
	hold  func(n int) (full bool)
	freed chan struct{} // has an element when items were taken from any of them
}

func newUploadBudget(s *Session) *uploadBudget {
	return &uploadBudget{hold: s.hold, freed: make(chan struct{}, 1)}
}

// add counts the bytes of items that came, or negative ones of items that were taken.
func (b *uploadBudget) add(n int) {
	b.held.Add(int64(n))
	b.hold(n)
	if n < 0 {
		signal(b.freed)
	}
}

// isFull reports whether an upload that holds something must not take more.
func (b *uploadBudget) isFull() bool { return b.held.Load() > maxUploaded || b.hold(0) }

// heldByUploads is how many bytes wait in the uploads of the session.
func (s *Session) heldByUploads() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.budget == nil {
		return 0
	}
	return s.budget.held.Load()
}
