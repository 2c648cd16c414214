package connection

import (
	"time"

	"github.com/carillon-go/carillon/transports"
)

// observation reports how a connection gets through the network. It does not change.
type observation struct {
	observer transports.Observer // nil: none
	silence  time.Duration
}

// SilenceLimit returns the time of silence after which the network is known to cut
// connections, or zero if none is known.
func (o *observation) SilenceLimit() time.Duration { return o.silence }

// Observed reports whether the connection has an observer.
func (o *observation) Observed() bool { return o.observer != nil }

// guide returns the observer if it adapts the server to the client's network, else nil.
func (o *observation) guide() transports.Guide {
	g, _ := o.observer.(transports.Guide)
	return g
}

// refuses reports whether the guide refuses a transport.
func (o *observation) refuses(kind transports.Type) bool {
	g := o.guide()
	return g != nil && g.Refuses(kind)
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
	age := c.ageLocked()
	c.mu.Unlock()
	if limit > 0 && (c.ctx.Err() == nil || age > limit) {
		c.Tell(transports.Event{Kind: transports.Held})
	}
}

// Tell reports a carrier's event to the observer, if there is one.
func (c *Connection) Tell(e transports.Event) {
	if c.observer == nil {
		return
	}
	if e.Transport == "" {
		e.Transport = c.Transport()
	}
	c.registry.report(c.observer, e)
}
