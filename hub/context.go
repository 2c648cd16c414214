package hub

import (
	"context"
	"sync"
	"time"
)

// A call is the ctx of its method. That of a stream is a context of package context, which
// ends with the stream. That of a plain invocation ends when the client cancels it or when
// the session ends, but not when the method returns: goroutines that it started may go on
// with it. Most methods never ask for its end, so what that needs is made when it is asked
// for, and none of it is kept once nothing refers to the ctx any more.

// ending is how the ctx of a plain invocation ends.
type ending struct {
	done   chan struct{}   // the ctx's Done; its session's endings close it
	client context.Context // ends when the client cancels the invocation
	cancel context.CancelFunc
}

type callKey struct{}

// Deadline returns none: clients set no time limits.
func (*call) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done returns a channel of this invocation's own.
func (c *call) Done() <-chan struct{} {
	if c.ctx != nil {
		return c.ctx.Done()
	}
	return c.ownEnding().done
}

// Err returns nil until Done is closed, then context.Canceled.
func (c *call) Err() error {
	if c.ctx != nil {
		return c.ctx.Err()
	}
	e := c.ending.Load()
	if e == nil {
		return c.session.ctx.Err()
	}
	select {
	case <-e.done:
		return context.Canceled
	default:
		return nil
	}
}

// Value makes the call a context from which it can be found.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	if c.ctx != nil {
		return c.ctx.Value(key)
	}
	if e := c.ending.Load(); e != nil && e.client.Err() != nil {
		if v := e.client.Value(key); v != nil { // what context.Cause looks for
			return v
		}
	}
	return c.session.ctx.Value(key)
}

// AfterFunc is like context.AfterFunc. By it context.WithCancel and its like follow the end
// of a ctx without a goroutine.
func (c *call) AfterFunc(f func()) (stop func() bool) {
	if c.ctx != nil {
		return context.AfterFunc(c.ctx, f)
	}
	e := c.ownEnding()
	run := sync.OnceFunc(func() {
		<-e.done // about to be closed; Err is not nil then
		f()
	})
	stopEnd := context.AfterFunc(c.session.ctx, run)
	stopCancel := context.AfterFunc(e.client, func() {
		stopEnd() // the session must not keep f
		run()
	})
	return func() bool {
		first, second := stopCancel(), stopEnd()
		return first && second
	}
}

// withContext returns the ctx that the filters made of a call's.
func (c *call) withContext(ctx context.Context) context.Context {
	if ctx == context.Context(c) {
		return ctx
	}
	return filteredContext{ctx, c}
}

// filteredContext is what filters made of the ctx of a call. Contexts that are derived from
// it start no goroutine either, if filters added values alone.
type filteredContext struct {
	context.Context
	call *call
}

// AfterFunc is that of the call, as long as the ctx ends with it.
func (f filteredContext) AfterFunc(run func()) (stop func() bool) {
	if f.Done() == f.call.Done() {
		return f.call.AfterFunc(run)
	}
	return context.AfterFunc(f.Context, run)
}

// ownEnding returns the ending of a plain invocation's ctx, made at the first call.
func (c *call) ownEnding() *ending {
	if e := c.ending.Load(); e != nil {
		return e
	}
	e := &ending{done: make(chan struct{})}
	e.client, e.cancel = context.WithCancel(context.Background())
	if !c.ending.CompareAndSwap(nil, e) {
		return c.ending.Load()
	}
	c.session.endings.add(c.session.ctx, e.done)
	return e
}

// hasID reports whether the call is the one that the client means by id.
func (c *call) hasID(id string) bool { return c.id == id && id != "" && !c.idFree.Load() }

// receiveCancel ends the ctx and the uploads of an invocation at the client's wish. The
// completion is as its method returns. One that waits for its turn runs all the same. While
// some wait, all of them may have to be looked at: a cancellation then counts as an
// invocation of the client.
func (s *Session) receiveCancel(id string) {
	s.mu.Lock()
	waiting := s.tasks.first != nil
	s.mu.Unlock()
	if waiting && s.tooFast() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.streams[id]; c != nil {
		c.cancelLocked()
	}
	if c := s.tasks.find(id); c != nil {
		c.cancelLocked()
	}
}

// cancelLocked ends the ctx and the uploads of a call.
func (c *call) cancelLocked() {
	if c.ctx != nil {
		c.cancel()
	} else {
		e := c.ownEnding()
		e.cancel()
		c.session.endings.close(e.done)
	}
	c.session.cancelUploadsLocked(c)
}
