package transports

import (
	"net/http"
	"runtime/debug"
	"time"
)

// Observer receives events that show how a connection gets through the network between client
// and server. Observe is called concurrently. It must return at once and must not call back.
type Observer interface {
	Observe(e Event)
}

// Event is one such event.
type Event struct {
	Kind EventKind
	// Transport is the transport concerned. It is empty for Unclaimed.
	Transport Type
	// Request is the request that arrived, for Stripped and Opened.
	Request *http.Request
	// Silence is the time without any data before a Cut.
	Silence time.Duration
}

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds of events.
const (
	// Stripped: a WebSocket handshake arrived without its Upgrade.
	Stripped EventKind = iota
	// Opened: a request opened the connection.
	Opened
	// Unclaimed: no request arrived for the connection within the disconnect time-out.
	Unclaimed
	// Held: the client sent nothing after its transport had opened: within the hold time-out
	// of an event stream, or until the end of a WebSocket.
	Held
	// Mute: the client posted a handshake for an event stream, and nothing more within the
	// hold time-out. A client that pings after reading the handshake response has not read
	// it.
	Mute
	// Proved: the client sent data that it sends only after receiving data from the server.
	Proved
	// Cut: the client or the network cut the transport.
	Cut
	// Unseen: a stripped handshake was answered with an event stream, and the client waited
	// for more of the answer.
	Unseen
	// Ended: an opened connection has ended. No more events follow.
	Ended
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
		c.Tell(Event{Kind: Cut, Silence: d})
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
		c.Tell(Event{Kind: Held})
	}
}

// Observed reports whether the connection has an observer.
func (c *Connection) Observed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.observer != nil
}

// Tell reports a carrier's event to the observer, if there is one.
func (c *Connection) Tell(e Event) {
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
func (r *Registry) tell(o Observer, e Event) {
	defer r.contain("Observer")
	o.Observe(e)
}

// contain, deferred, logs a panic of application code that only observes.
func (r *Registry) contain(part string) {
	if p := recover(); p != nil {
		r.options.Logger.Error("the application panicked", "part", part, "panic", p, "stack", string(debug.Stack()))
	}
}
