package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxChanges of state may wait for their callbacks; then reconnecting waits too.
const maxChanges = 64

// run owns the connection from Start or Run until its end: one loop that connects, waits for the
// end, and connects again. Sessions come and go within it; callbacks of all of them run in one
// goroutine, in order.
type run struct {
	conn    *HubConnection
	ctx     context.Context // ends when the connection is to be stopped
	stop    context.CancelCauseFunc
	budget  *budget
	jobs    *jobs
	uploads uploads
	started chan error    // how the first attempt went; closed when the connection is Disconnected
	done    chan struct{} // closed when nothing of the run is left
}

func newRun(ctx context.Context, c *HubConnection) *run {
	r := &run{conn: c, budget: newBudget(c.options.MaxBuffered), jobs: newJobs(), started: make(chan error, 1), done: make(chan struct{})}
	r.ctx, r.stop = context.WithCancelCause(context.WithValue(ctx, callbackKey{}, c))
	return r
}

// loop returns when nothing of the run is left. What the server sent before an end that was not ours is
// still handled, within CloseTimeout: a handler may wait for the end of its ctx.
func (r *run) loop(persistent bool) error {
	defer close(r.done)
	defer r.conn.forget(r)
	var callbacks sync.WaitGroup
	callbacks.Go(r.runJobs)

	s, failure := r.connectFirst(persistent)
	err := failure
	if failure == nil {
		r.established(s)
		r.started <- nil
		err = r.live(s)
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
	defer time.AfterFunc(r.conn.options.CloseTimeout, func() { r.stop(ErrStopped) }).Stop()
	callbacks.Wait()
	r.stop(ErrStopped)
	r.uploads.end()
	r.conn.network.closeIdle()
	return err
}

// live waits for the end of s and of those that follow it; it returns the reason of the last end.
func (r *run) live(s *session) error {
	for {
		err := s.wait(r.ctx)
		r.conn.session.Store(nil)
		if !r.mayReconnect(err) {
			return err
		}
		r.jobs.waitBelow(r.ctx, maxChanges)
		r.conn.enter(r, StateChange{To: Reconnecting, Err: lossOf(err)})
		if s, err = r.reconnect(err, 0); err != nil {
			return err
		}
		r.established(s)
	}
}

func (r *run) mayReconnect(err error) bool {
	closed := new(CloseError)
	if errors.As(err, &closed) && !closed.AllowReconnect {
		return false
	}
	return r.conn.options.Reconnect != nil && r.ctx.Err() == nil
}

// lossOf is what observers see of the reason: an end without an error is none.
func lossOf(err error) error {
	if isOrderly(err) {
		return nil
	}
	return err
}

func (r *run) established(s *session) {
	r.conn.session.Store(s)
	r.conn.enter(r, StateChange{To: Connected, ConnectionID: s.target.id, Transport: s.transport})
	s.activate()
}

func (r *run) connectFirst(persistent bool) (*session, error) {
	s, err := r.connect()
	if err == nil || !persistent || r.conn.options.Reconnect == nil || r.ctx.Err() != nil {
		return s, err
	}
	return r.reconnect(err, 1)
}

// reconnect tries until it succeeds, the policy gives up, or the run is stopped. made counts the
// attempts that failed already.
func (r *run) reconnect(cause error, made int) (*session, error) {
	since := time.Now()
	for attempt := 0; ; attempt++ {
		wait, again := r.conn.options.Reconnect(Retry{Attempts: attempt, Elapsed: time.Since(since), Cause: cause})
		switch {
		case !again && attempt == 0:
			return nil, cause // not tried at all
		case !again:
			return nil, fmt.Errorf("client: reconnect retries have been exhausted after %d failed attempts and %v: %w", attempt+made, time.Since(since).Round(time.Millisecond), cause)
		}
		if err := sleep(r.ctx, wait); err != nil {
			return nil, err
		}
		s, err := r.connect()
		if err == nil {
			return s, nil
		}
		if r.ctx.Err() != nil {
			return nil, context.Cause(r.ctx)
		}
		cause = err
	}
}

func (r *run) connect() (*session, error) { return r.connector().connect(r.ctx) }

func (r *run) connector() *connector {
	return &connector{options: r.conn.options, hub: r.conn.hub, network: r.conn.network, begin: r.newSession}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
