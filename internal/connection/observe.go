package connection

import (
	"time"

	"github.com/carillon-go/carillon/transports"
)

// SilenceLimit returns the time of silence after which the network is known to cut
// connections, or zero if none is known.
func (c *Connection) SilenceLimit() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silence
}

// CutAfter reports to the observer that the client or the network cut the transport after a
// silence of d.
func (c *Connection) CutAfter(d time.Duration) {
	if c.ctx.Err() == nil {
		c.Tell(transports.Event{Kind: transports.Cut, Silence: d})
	}
}

// Unheard reports to the observer that a WebSocket has ended without a received byte,
// although clients begin with a handshake: the answer to its request was lost. It reports
// nothing if the server closed the WebSocket within HoldTimeout after the opening.
func (c *Connection) Unheard() {
	limit := c.registry.options.HoldTimeout
	c.mu.Lock()
	age := time.Since(c.opened)
	c.mu.Unlock()
	if limit > 0 && (c.ctx.Err() == nil || age > limit) {
		c.Tell(transports.Event{Kind: transports.Held})
	}
}

// Observed reports whether the connection has an observer.
func (c *Connection) Observed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.observer != nil
}

// Tell reports a carrier's event to the observer, if there is one.
func (c *Connection) Tell(e transports.Event) {
	c.mu.Lock()
	o := c.observer
	if e.Transport == "" {
		e.Transport = c.kind
	}
	c.mu.Unlock()
	if o != nil {
		c.registry.tell(o, e)
	}
}

// tell reports an event to o. A panic of o does not end the connection.
func (r *Registry) tell(o transports.Observer, e transports.Event) {
	defer r.contain("Observer")
	o.Observe(e)
}

// contain, deferred, logs a panic of application code that only observes.
func (r *Registry) contain(part string) {
	if p := recover(); p != nil {
		r.logPanic(part, p)
	}
}
