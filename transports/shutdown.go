package transports

import (
	"context"
	"time"
)

// Outside are network connections that a carrier keeps beyond their requests. The registry ends
// them; its methods are called in this order.
type Outside interface {
	// Announce says on each answer from now on that its network connection ends.
	Announce()
	// CloseIdle closes those on which nothing is awaited.
	CloseIdle()
	// Cut closes all.
	Cut()
}

// Keep has Stop and Shutdown end o. It is for carriers, before the first request.
func (r *Registry) Keep(o Outside) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outside = append(r.outside, o)
}

func (r *Registry) outsides() []Outside {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outside
}

// Stop refuses new connections from now on.
func (r *Registry) Stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	for _, o := range r.outsides() {
		o.Announce()
	}
}

// Shutdown stops, closes every connection in order, cuts those that are still there when ctx
// ends, and waits for what runs of them; soon after the end of ctx it returns in any case. Its
// error is the cause of ctx if a connection was cut that had not got all that was sent, or
// while its application ran, or if something runs on. A client that is gone is no error.
func (r *Registry) Shutdown(ctx context.Context) error {
	r.Stop()
	r.mu.Lock()
	r.forget(time.Since(r.begun))
	r.mu.Unlock()
	for _, c := range r.snapshot() {
		c.shutdown()
	}
	r.awaitEmpty(ctx)
	orderly := true
	for _, c := range r.snapshot() {
		orderly = c.isThrough() && orderly
		c.end(ErrShutdown, true)
	}
	r.mu.Lock()
	r.finished = true
	r.mu.Unlock()
	for _, o := range r.outsides() {
		o.CloseIdle()
	}
	if r.awaitRunning(ctx) && orderly {
		return nil
	}
	return context.Cause(ctx)
}

// shutdown closes the connection. Nobody comes for one that is not opened.
func (c *Connection) shutdown() {
	c.mu.Lock()
	c.shutting = true
	c.mu.Unlock()
	c.Close(ErrShutdown)
	c.endIf(ErrShutdown, false, func() bool { return c.kind == "" })
}

// isThrough reports whether nothing is lost when a connection that is closing is cut: the
// application has returned, and a client that is there has got all.
func (c *Connection) isThrough() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state >= disposing || c.told && (c.carrier == nil || c.finished)
}

func (r *Registry) snapshot() []*Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Connection, 0, len(r.connections))
	for _, c := range r.connections {
		all = append(all, c)
	}
	return all
}

// awaitEmpty waits until no connection is left, or ctx ends.
func (r *Registry) awaitEmpty(ctx context.Context) {
	r.mu.Lock()
	if len(r.connections) == 0 {
		r.mu.Unlock()
		return
	}
	if r.empty == nil {
		r.empty = make(chan struct{})
	}
	empty := r.empty
	r.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// cutTimeout is how long what was cut gets to end, twice: first what its connection's end
// ends, then what only the end of a network connection does.
const cutTimeout = time.Second

// awaitRunning reports whether all that runs has ended. It cuts what does not by the end of
// ctx, and waits no longer than twice cutTimeout after that. The goroutine that it leaves then
// is waiting for what runs on.
func (r *Registry) awaitRunning(ctx context.Context) bool {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.running.Wait()
	}()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
	}
	if isClosedWithin(ended, cutTimeout) {
		return true
	}
	r.cut()
	for _, o := range r.outsides() {
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

// Cutting is cancelled when Shutdown's time is over: a carrier then ends what waits for a
// client before it is attached.
func (c *Connection) Cutting() context.Context { return c.registry.cutting }

const (
	// absence is how long a shutdown waits for the next poll of a long-polling client: one
	// that is there polls again at once.
	absence = 2 * time.Second
	// farewell is how long it waits for the poll behind the one that fetched the
	// application's last words. The .NET client makes it at once, beside looking at them,
	// and takes a 404 for a failure.
	farewell = time.Second
)

// late reports whether the connection has been without a request for too long. The lock is
// held.
func (c *Connection) late(now time.Time) bool {
	limit := c.registry.options.DisconnectTimeout
	if c.shutting && c.kind == LongPolling && c.state == closing {
		limit = min(limit, absence)
		if len(c.queue.frames) == 0 {
			limit = min(limit, farewell)
		}
	}
	return !c.left.IsZero() && now.Sub(c.left) > limit
}
