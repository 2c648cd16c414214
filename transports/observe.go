package transports

import (
	"net/http"
	"runtime/debug"
	"time"
)

// Observer is told how a connection gets through the network between its client and
// the server. It is called concurrently, must return at once and not call back.
type Observer interface {
	Observe(e Event)
}

// Event is something that tells how a connection gets through.
type Event struct {
	Kind EventKind
	// Transport that it is about; of Unclaimed none.
	Transport Type
	// Request that came, of Stripped and Opened.
	Request *http.Request
	// Silence is how long nothing had moved, of Cut.
	Silence time.Duration
}

// EventKind says what happened.
type EventKind uint8

// What an Observer is told.
const (
	// Stripped: a WebSocket handshake came without its Upgrade.
	Stripped EventKind = iota
	// Opened: a request opened the connection.
	Opened
	// Unclaimed: no request came for the connection within the disconnect time-out.
	Unclaimed
	// Held: nothing came from the client after its transport had opened: from an event
	// stream's within the hold time-out, over a WebSocket until that ended.
	Held
	// Mute: a handshake was posted for an event stream, and nothing more within the hold
	// time-out. Clients that ping when they have read the answer have not read it.
	Mute
	// Proved: the client has said what it says only when it hears the server.
	Proved
	// Cut: the transport was cut by the client or the network.
	Cut
	// Unseen: a handshake that came stripped was answered as an event stream is, and the
	// client has waited for more of an answer.
	Unseen
	// Ended: a connection that was opened is over. Nothing is told of it any more.
	Ended
)

// SilenceLimit is after how much silence the network is known to cut; zero: it is not.
func (c *Connection) SilenceLimit() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silence
}

// CutAfter tells the observer that the transport was cut, not by us, after nothing had
// moved for d.
func (c *Connection) CutAfter(d time.Duration) {
	if c.ctx.Err() == nil {
		c.Tell(Event{Kind: Cut, Silence: d})
	}
}

// Unheard tells the observer that a WebSocket has ended on which no byte ever came, where
// clients begin with a handshake: the answer to its request got lost. A WebSocket that the
// server closes sooner than HoldTimeout after the opening shows nothing.
func (c *Connection) Unheard() {
	limit := c.registry.options.HoldTimeout
	c.mu.Lock()
	age := time.Since(c.opened)
	c.mu.Unlock()
	if limit > 0 && (c.ctx.Err() == nil || age > limit) {
		c.Tell(Event{Kind: Held})
	}
}

// Observed tells whether anybody is told of what a carrier sees.
func (c *Connection) Observed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.observer != nil
}

// Tell tells the observer, if there is one, of what a carrier saw.
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

// tell tells o, whose panic ends nothing.
func (r *Registry) tell(o Observer, e Event) {
	defer r.contain("Observer")
	o.Observe(e)
}

// contain, deferred, logs a panic of something that the application only watches with.
func (r *Registry) contain(part string) {
	if p := recover(); p != nil {
		r.options.Logger.Error("the application panicked", "part", part, "panic", p, "stack", string(debug.Stack()))
	}
}
