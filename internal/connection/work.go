package connection

import (
	"context"
	"sync"
	"time"
)

// Outside is a set of network connections that a carrier keeps beyond their requests. The
// registry ends them. It calls the methods in this order.
type Outside interface {
	// Announce makes each further answer state that its network connection closes.
	Announce()
	// CloseIdle closes the connections without a pending request.
	CloseIdle()
	// Cut closes all connections.
	Cut()
}

// work is everything that runs for an endpoint and that Shutdown ends and waits for.
type work struct {
	// running counts it. Each part is started by a counted one, or before finish.
	running sync.WaitGroup
	// cutting is cancelled when Shutdown's time is over, and ends everything that is left.
	cutting context.Context
	cut     context.CancelFunc

	mu       sync.Mutex
	finished bool
	outside  []Outside
}

// Keep makes Stop and Shutdown end o. Carriers call it before the first request.
func (r *Registry) Keep(o Outside) { r.work.keep(o) }

func (w *work) keep(o Outside) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outside = append(w.outside, o)
}

func (w *work) outsides() []Outside {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.outside
}

// enter counts a request. It reports false after finish. The caller ends the request with
// running.Done.
func (w *work) enter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return false
	}
	w.running.Add(1)
	return true
}

// announce makes each further answer state that its network connection closes.
func (w *work) announce() {
	for _, o := range w.outsides() {
		o.Announce()
	}
}

// finish refuses further requests and closes the network connections without one.
func (w *work) finish() {
	w.mu.Lock()
	w.finished = true
	w.mu.Unlock()
	for _, o := range w.outsides() {
		o.CloseIdle()
	}
}

// cutTimeout is the time for which Shutdown waits after each of two steps: cutting the
// connections, and cutting the network connections.
const cutTimeout = time.Second

// await reports whether everything that runs has ended. It cuts the rest at the end of
// ctx, and waits for at most twice cutTimeout after that. If something runs on, the goroutine
// that waits for it is left.
func (w *work) await(ctx context.Context) bool {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.running.Wait()
	}()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
	}
	if isClosedWithin(ended, cutTimeout) {
		return true
	}
	w.cut()
	for _, o := range w.outsides() {
		o.Cut()
	}
	return isClosedWithin(ended, cutTimeout)
}

func isClosedWithin(c <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}
