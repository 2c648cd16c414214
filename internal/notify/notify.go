// Package notify wakes goroutines that wait for a change.
package notify

// Gate wakes all its waiters at once. The lock that guards the awaited condition guards the
// gate, too: a goroutine that finds the condition false calls Wait, releases the lock and
// receives from the channel. The zero value is ready to use and needs no memory while there
// are no waiters.
type Gate struct{ opened chan struct{} }

// Wait returns a channel that the next call of Open closes.
func (g *Gate) Wait() <-chan struct{} {
	if g.opened == nil {
		g.opened = make(chan struct{})
	}
	return g.opened
}

// Open wakes the waiters.
func (g *Gate) Open() {
	if g.opened != nil {
		close(g.opened)
		g.opened = nil
	}
}

// Signal wakes one waiter, or the next one if there is none. Any number of calls of Notify
// before the waiter receives from the channel count as one.
type Signal chan struct{}

// NewSignal returns a Signal without a pending call of Notify.
func NewSignal() Signal { return make(Signal, 1) }

// Notify wakes the waiter. It does not block and is safe for concurrent use.
func (s Signal) Notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}
