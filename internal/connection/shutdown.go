package connection

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// Stop refuses new connections from now on.
func (r *Registry) Stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
	r.work.announce()
	if r.elsewhere != nil {
		r.elsewhere.Drain()
	}
}

// Shutdown calls Stop, closes every connection in order, cuts the remaining ones when ctx
// ends, and waits for everything that runs. It returns at most two seconds after the end of
// ctx. It returns the cause of ctx if it cut a connection before its client had received
// everything or while its application was running, or if something is still running. A client
// that has left is not an error.
func (r *Registry) Shutdown(ctx context.Context) error {
	defer r.gate.Close()
	r.Stop()
	r.mu.Lock()
	r.forgetLocked(time.Since(r.begun))
	r.mu.Unlock()
	for _, c := range r.snapshot() {
		c.shutdown()
	}
	r.awaitEmpty(ctx)
	cut := 0
	for _, c := range r.snapshot() {
		if c.cutIfUnfinished() {
			cut++
		}
	}
	r.mu.Lock()
	r.cutOff += cut
	r.mu.Unlock()
	r.work.finish()
	if r.work.await(ctx) && cut == 0 {
		return nil
	}
	return context.Cause(ctx)
}

// Ended returns the number of opened connections that have ended in order since Stop, and of
// those that Shutdown has cut.
func (r *Registry) Ended() (drained, cut int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drained, r.cutOff
}

// isDrained reports whether the connection was opened and Shutdown has not cut it.
func (c *Connection) isDrained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kind != "" && !c.cutOff
}

// shutdown closes the connection. One that was never opened ends at once.
func (c *Connection) shutdown() {
	c.mu.Lock()
	c.serverEnds = true
	c.mu.Unlock()
	c.Close(transports.ErrShutdown)
	c.end(transports.ErrShutdown, false, func() bool { return c.kind == "" })
}

// cutIfUnfinished cuts the connection. It reports whether that loses anything: the client has
// not left and the application has not returned, or the client is connected and has not
// received everything.
func (c *Connection) cutIfUnfinished() bool {
	c.mu.Lock()
	here := c.state < ended || c.closed && !c.leaving
	lost := here && !c.notified || c.state < ended && c.carrier != nil && c.state != sent
	lost = lost && !c.cutOff // otherwise an earlier Shutdown has counted it
	c.cutOff = c.cutOff || lost
	c.mu.Unlock()
	c.Abort(transports.ErrShutdown)
	return lost
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

// awaitEmpty waits until there are no connections, or until ctx ends.
func (r *Registry) awaitEmpty(ctx context.Context) {
	r.mu.Lock()
	if len(r.connections) == 0 {
		r.mu.Unlock()
		return
	}
	empty := r.empty.Wait()
	r.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// Cutting returns a context that is cancelled when Shutdown's time is over. A carrier then
// ends its waits for a client before it is attached.
func (c *Connection) Cutting() context.Context { return c.registry.work.cutting }
