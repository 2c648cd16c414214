package client

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
)

// job is what waits for its turn among the callbacks: an invocation by the server, or a change of
// state.
type job struct {
	session   *session
	id        string // of the invocation, if the server wants a result
	target    string
	arguments []byte
	size      int // in the budget

	change *StateChange
}

// jobs is the queue of callbacks. What is in it is bounded by the run's budget, and changes of state
// by waitBelow.
type jobs struct {
	mu      sync.Mutex
	queue   []job
	changes int // of state in it
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
	j.queue = append(j.queue, next)
	if next.change != nil {
		j.changes++
	}
	j.moved.Broadcast()
}

// close lets pop end when the queue is empty.
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
	if next.change != nil {
		j.changes--
	}
	j.moved.Broadcast()
	return next, true
}

// waitBelow waits until fewer than n changes of state wait, or ctx ends.
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

// runJobs is the goroutine of all callbacks.
func (r *run) runJobs() {
	for {
		next, ok := r.jobs.pop()
		switch {
		case !ok:
			return
		case next.change != nil:
			r.observe(*next.change)
		default:
			if !r.stopped() {
				next.session.invoked(r.ctx, next)
			}
			r.budget.release(next.size)
		}
	}
}

// stopped tells whether the application wants no more calls of handlers.
func (r *run) stopped() bool { return r.ctx.Err() != nil }

func (r *run) observe(change StateChange) {
	ctx := r.ctx
	if change.To == Disconnected {
		ctx = context.WithoutCancel(ctx) // it is over; the callback may start anew with it
	}
	r.conn.mu.Lock()
	observers := r.conn.observers
	r.conn.mu.Unlock()
	for _, f := range observers {
		if err := guard(func() error { f(ctx, change); return nil }); err != nil {
			r.conn.options.Logger.ErrorContext(ctx, "state callback failed", "state", change.To, "error", err)
		}
	}
}

// panicError is a panic of the application's code.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guard turns a panic of f into an error, and that of an error which cannot say what it is: a nil
// pointer in its place.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	if err = f(); err != nil {
		_ = err.Error()
	}
	return err
}
