package hub

import (
	"context"
	"sync"
	"time"
)

// ending is the end of a plain invocation's ctx.
//
// A call is the ctx of its method. The ctx of a stream is a context of package context
// that ends with the stream. The ctx of a plain invocation ends when the client cancels
// it or when the session ends, but not when the method returns: goroutines of the method
// may go on using it. Most methods never ask for the end of ctx. So the means for that
// are made on demand, and are freed when nothing refers to the ctx any longer.
type ending struct {
	done   chan struct{}   // the ctx's Done; closed through the session's endings
	client context.Context // ends when the client cancels the invocation
	cancel context.CancelFunc
}

type callKey struct{}

// Deadline returns false: clients set no time limits.
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

// Value returns the call itself for callKey, so that the call can be found from derived
// contexts.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	if c.ctx != nil {
		return c.ctx.Value(key)
	}
	if e := c.ending.Load(); e != nil && e.client.Err() != nil {
		if v := e.client.Value(key); v != nil { // for context.Cause
			return v
		}
	}
	return c.session.ctx.Value(key)
}

// AfterFunc works like context.AfterFunc. With it, context.WithCancel and others follow
// the end of the ctx without a goroutine.
func (c *call) AfterFunc(f func()) (stop func() bool) {
	if c.ctx != nil {
		return context.AfterFunc(c.ctx, f)
	}
	e := c.ownEnding()
	run := sync.OnceFunc(func() {
		<-e.done // about to be closed; afterwards Err is not nil
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

// withContext returns the ctx that filters have derived from a call's ctx.
func (c *call) withContext(ctx context.Context) context.Context {
	if ctx == context.Context(c) {
		return ctx
	}
	return filteredContext{ctx, c}
}

// filteredContext is a ctx that filters have derived from a call's. Contexts derived from
// it start no goroutine either if the filters only added values.
type filteredContext struct {
	context.Context
	call *call
}

// AfterFunc uses the call's AfterFunc if the ctx ends together with the call's.
func (f filteredContext) AfterFunc(run func()) (stop func() bool) {
	if f.Done() == f.call.Done() {
		return f.call.AfterFunc(run)
	}
	return context.AfterFunc(f.Context, run)
}

// ownEnding returns the ending of a plain invocation's ctx. The first call makes it.
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

// receiveCancel ends the ctx and the uploads of an invocation that the client cancels.
// The invocation completes when its method returns. A queued invocation still runs. While
// calls are queued, all of them may have to be searched, so a cancellation then counts as
// an invocation of the client.
func (s *Session) receiveCancel(id string) {
	if _, waiting := s.tasks.Queued(); waiting && !s.awaitPace() {
		return
	}
	if c := s.streams.find(id); c != nil {
		c.interrupt()
	}
	if c, ok := s.tasks.Find(id).(*call); ok {
		c.interrupt()
	}
}

// interrupt ends the ctx and the uploads of a call.
func (c *call) interrupt() {
	if c.ctx != nil {
		c.cancel()
	} else {
		e := c.ownEnding()
		e.cancel()
		c.session.endings.closeOne(e.done)
	}
	c.session.streams.cancelUploads(c)
}
