package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/guard"
)

// maxChanges is the number of state changes that may wait for their callbacks; then reconnecting
// waits too.
const maxChanges = 64

// run owns the connection from Start or Run until its end. Its loop connects, waits for the end,
// and connects again. A run has one session after the other; the callbacks of all of them run in
// one goroutine, in order.
type run struct {
	conn      *HubConnection
	ctx       context.Context // ends when the connection must stop
	stop      context.CancelCauseFunc
	budget    *budget
	jobs      *jobs
	turn      *turn // used by the callbacks' goroutine only
	callbacks sync.WaitGroup
	uploads   uploads
	retries   retries       // used by the loop only
	started   chan error    // the outcome of the first attempt; closed when the connection is Disconnected
	done      chan struct{} // closed when everything of the run has ended
}

func newRun(ctx context.Context, c *HubConnection) *run {
	r := &run{conn: c, budget: newBudget(c.options.MaxBuffered), jobs: newJobs(), started: make(chan error, 1), done: make(chan struct{})}
	r.ctx, r.stop = context.WithCancelCause(context.WithValue(ctx, callbackKey{}, c))
	return r
}

// loop returns the cause of the end when everything of the run has ended, or CloseTimeout after the
// connection ended and the run was stopped: application code may ignore the end of its ctx. If the
// end was not ours, messages that arrived before it are still handled within CloseTimeout.
func (r *run) loop(persistent bool) error {
	r.callbacks.Go(r.runCallbacks)
	s, failure := r.connect(r.ctx)
	if failure != nil && persistent && r.conn.options.Reconnect != nil && r.ctx.Err() == nil {
		s, failure = r.reconnect(failure, 1)
	}
	err := failure
	if failure == nil {
		r.established(s)
		r.started <- nil
		err = r.runSessions(s)
	}
	if isOrderly(err) || r.ctx.Err() != nil {
		err = nil
	}
	r.conn.enter(r, StateChange{To: Disconnected, Err: err})
	if failure != nil {
		r.started <- failure
	}
	close(r.started)
	r.jobs.close()
	go r.waitForEnd()
	<-r.ctx.Done()
	closing, cancel := r.conn.options.closing(r.ctx)
	defer cancel()
	if await(closing, r.done) != nil {
		r.conn.options.Logger.WarnContext(r.ctx, "callbacks still running", "reason", "they ignore the end of their ctx")
	}
	return err
}

// waitForEnd waits until everything of the run has ended. It ends the ctx of callbacks that take
// too long.
func (r *run) waitForEnd() {
	defer close(r.done)
	defer r.conn.forget(r)
	defer time.AfterFunc(r.conn.options.CloseTimeout, func() { r.stop(ErrStopped) }).Stop()
	r.callbacks.Wait()
	r.stop(ErrStopped)
	r.uploads.end()
}

// runSessions waits for the end of s and of the sessions after it. It returns the cause of the last
// end.
func (r *run) runSessions(s *session) error {
	for {
		began := time.Now()
		err := s.wait(r.ctx)
		r.conn.session.Store(nil)
		if time.Since(began) >= settledAfter {
			r.retries = retries{}
		}
		closed, isClose := errors.AsType[*CloseError](err)
		if isClose && !closed.AllowReconnect || r.conn.options.Reconnect == nil || r.ctx.Err() != nil {
			return err
		}
		r.jobs.waitBelow(r.ctx, maxChanges)
		change := StateChange{To: Reconnecting}
		if !isOrderly(err) {
			change.Err = err
		}
		r.conn.enter(r, change)
		if s, err = r.reconnect(err, 0); err != nil {
			return err
		}
		r.established(s)
	}
}

func (r *run) established(s *session) {
	r.conn.session.Store(s)
	r.conn.enter(r, StateChange{To: Connected, ConnectionID: s.target.id, Transport: s.transport})
	s.activate()
}

// retries are the attempts to connect since the last connection that lasted for settledAfter.
type retries struct {
	since time.Time // zero: no attempt yet
	made  int
}

// reconnect tries until it succeeds, the policy gives up, or the run is stopped. earlier counts
// attempts made without asking the policy.
func (r *run) reconnect(cause error, earlier int) (*session, error) {
	if r.retries.since.IsZero() {
		r.retries.since = time.Now()
	}
	for {
		made, elapsed := r.retries.made, time.Since(r.retries.since)
		wait, again, err := r.nextAttempt(Retry{Attempts: made, Elapsed: elapsed, Cause: cause})
		switch {
		case err != nil:
			return nil, err
		case !again && made == 0:
			return nil, cause // no attempt was made
		case !again:
			return nil, fmt.Errorf("client: reconnect retries have been exhausted after %d failed attempts and %v: %w", made+earlier, elapsed.Round(time.Millisecond), cause)
		}
		if err := sleep(r.ctx, max(wait, retryAfter(cause))); err != nil {
			return nil, err
		}
		r.retries.made++
		s, err := r.connect(r.ctx)
		if err == nil {
			return s, nil
		}
		if r.ctx.Err() != nil {
			return nil, context.Cause(r.ctx)
		}
		cause = err
	}
}

// nextAttempt asks the policy.
func (r *run) nextAttempt(retry Retry) (wait time.Duration, again bool, err error) {
	var answer struct {
		wait  time.Duration
		again bool
	}
	err = guard.Call(r.ctx, func() error {
		answer.wait, answer.again = r.conn.options.Reconnect(retry)
		return nil
	})
	if err != nil {
		return 0, false, fmt.Errorf("client: reconnect policy: %w", err)
	}
	return answer.wait, answer.again, nil
}
