package hub

import (
	"slices"
	"sync"
)

// workers are the goroutines that invocations run on. One that is through waits for
// more: its stack has grown by then, which costs more than a small method does. Those
// that were not needed between two looks of the sweep end, all of them with the last
// session.
type workers struct {
	mu      sync.Mutex
	idle    []chan *call // of those that wait; the last to come is the first to go
	spare   int          // the fewest that have waited since the last look
	running sync.WaitGroup
}

// start has a worker do what c's session has to do, c first. It never blocks.
func (w *workers) start(c *call) {
	w.mu.Lock()
	last := len(w.idle) - 1
	if last < 0 {
		w.mu.Unlock()
		w.running.Add(1)
		go w.work(c)
		return
	}
	next := w.idle[last]
	w.idle = w.idle[:last]
	w.spare = min(w.spare, last)
	w.mu.Unlock()
	next <- c
}

func (w *workers) work(c *call) {
	defer w.running.Done()
	for more := make(chan *call, 1); c != nil; c = <-more {
		w.serve(c, more)
	}
}

// serve waits for more before its session may be gone, so that none is left behind the
// last one.
func (w *workers) serve(c *call, more chan *call) {
	defer c.session.running.Done()
	c.session.work(c)
	w.mu.Lock()
	w.idle = append(w.idle, more)
	w.mu.Unlock()
}

// look ends those that have not been needed since the last look.
func (w *workers) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end(w.spare)
	w.spare = len(w.idle)
}

// leave ends all that wait.
func (w *workers) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end(len(w.idle))
	w.spare = 0
}

// end ends n of them, those that have waited longest. The lock is held.
func (w *workers) end(n int) {
	for _, more := range w.idle[:n] {
		close(more)
	}
	w.idle = slices.Delete(w.idle, 0, n)
}
