package client

import (
	"bytes"
	"context"
	"runtime"
	"strconv"

	"github.com/carillon-go/carillon/internal/guard"
)

// turn is the job with callbacks that currently run.
type turn struct {
	// left are the callbacks that have not started. Each handles its own errors and runtime.Goexit.
	left []func()
	// finish runs after the last callback.
	finish func()
}

// runCallbacks runs all callbacks of a run, one at a time. A callback that calls runtime.Goexit
// ends the goroutine; another one continues with the next callback.
func (r *run) runCallbacks() {
	over := false
	defer func() {
		if !over {
			r.callbacks.Go(r.runCallbacks)
		}
	}()
	defer r.conn.mark()()
	for {
		if r.turn == nil {
			next, ok := r.jobs.pop()
			if !ok {
				over = true
				return
			}
			r.turn = r.begin(next)
		}
		for len(r.turn.left) > 0 {
			callback := r.turn.left[0]
			r.turn.left = r.turn.left[1:]
			callback()
		}
		r.turn.finish()
		r.turn = nil
	}
}

// begin returns the turn of a job.
func (r *run) begin(next job) *turn {
	switch {
	case next.change != nil:
		return r.observers(*next.change)
	case next.refreshed != nil:
		return r.refreshObservers(*next.refreshed)
	case r.ctx.Err() != nil: // no more handlers are called
		return &turn{finish: func() { r.budget.release(next.size) }}
	}
	return next.session.invoked(r.ctx, next)
}

func (r *run) observers(change StateChange) *turn {
	ctx := r.ctx
	if change.To == Disconnected {
		ctx = context.WithoutCancel(ctx) // the run has ended, and the callback may use ctx to start again
	}
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	return newTurn(r, "state", r.conn.observers, func(f func(context.Context, StateChange)) { f(ctx, change) })
}

// newTurn returns the turn of callbacks without results.
func newTurn[F any](r *run, kind string, callbacks []F, call func(F)) *turn {
	t := &turn{finish: func() {}}
	for _, f := range callbacks {
		t.left = append(t.left, func() {
			r.observe(kind, func() { call(f) })
		})
	}
	return t
}

// observe runs a callback without a result and logs its failure.
func (r *run) observe(kind string, callback func()) {
	err := guard.ErrGoexit
	defer func() {
		if err != nil {
			r.conn.options.Logger.ErrorContext(r.ctx, "callback failed", "callback", kind, "error", err)
		}
	}()
	err = guard.Run(func() error {
		callback()
		return nil
	})
}

// mark records that the calling goroutine runs application code that Stop waits for, until unmark
// is called.
func (c *HubConnection) mark() (unmark func()) {
	id := goroutineID()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marked[id] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.marked, id)
	}
}

// isMarked reports whether the caller of Stop is application code that Stop would wait for.
func (c *HubConnection) isMarked(ctx context.Context) bool {
	if ctx.Value(callbackKey{}) == c {
		return true
	}
	id := goroutineID()
	c.mu.Lock()
	defer c.mu.Unlock()
	_, marked := c.marked[id]
	return marked && id != 0
}

// goroutineID returns the number of the calling goroutine from its stack trace, or 0 if there is
// none. Only Stop uses it: it is the only way to recognize that Stop is called by code that it
// would wait for, whichever ctx Stop gets.
func goroutineID() uint64 {
	var trace [64]byte
	text := bytes.TrimPrefix(trace[:runtime.Stack(trace[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(text, []byte(" "))
	id, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return id
}
