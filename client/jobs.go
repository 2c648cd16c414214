package client

import (
	"context"
	"sync"
)

// job is an entry in the queue of callbacks: an invocation by the server, a state change, or the
// outcome of a refresh.
type job struct {
	session   *session
	id        string // of the invocation, if the server waits for a result
	target    string
	arguments []byte
	size      int // in the budget, in bytes

	change    *StateChange
	refreshed *refreshed
}

// jobs is the queue of callbacks. The run's budget bounds the invocations in it, waitBelow the
// state changes, and pushBelow the outcomes of refreshes.
type jobs struct {
	mu      sync.Mutex
	queue   []job
	changes int // the number of state changes and outcomes of refreshes in the queue
	closed  bool
	moved   *sync.Cond
}

func newJobs() *jobs {
	j := new(jobs)
	j.moved = sync.NewCond(&j.mu)
	return j
}

func (j *jobs) push(next job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pushLocked(next)
}

// pushBelow pushes a job unless n changes wait, or the queue is closed.
func (j *jobs) pushBelow(next job, n int) (pushed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.changes >= n || j.closed {
		return false
	}
	j.pushLocked(next)
	return true
}

func (j *jobs) pushLocked(next job) {
	j.queue = append(j.queue, next)
	if next.isChange() {
		j.changes++
	}
	j.moved.Broadcast()
}

func (j *job) isChange() bool { return j.change != nil || j.refreshed != nil }

// close makes pop return false when the queue is empty.
func (j *jobs) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.moved.Broadcast()
}

func (j *jobs) pop() (job, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.queue) == 0 && !j.closed {
		j.moved.Wait()
	}
	if len(j.queue) == 0 {
		return job{}, false
	}
	next := j.queue[0]
	j.queue[0] = job{}
	j.queue = j.queue[1:]
	if next.isChange() {
		j.changes--
	}
	j.moved.Broadcast()
	return next, true
}

// waitBelow waits until fewer than n changes wait, or ctx ends.
func (j *jobs) waitBelow(ctx context.Context, n int) {
	defer context.AfterFunc(ctx, func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.moved.Broadcast()
	})()
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.changes >= n && ctx.Err() == nil {
		j.moved.Wait()
	}
}
