package transports

import (
	"io"
	"net/http"
	"time"
)

// A Guide is an Observer that knows what to do about the network.
type Guide interface {
	Observer
	// Probes tells whether r, a WebSocket handshake that came without its Upgrade, is to be
	// answered in the way of an event stream.
	Probes(r *http.Request) bool
	// Refuses tells whether the transport cannot work here, so that the client is to try
	// its next one at once.
	Refuses(Type) bool
}

func (c *Connection) guide() Guide {
	c.mu.Lock()
	defer c.mu.Unlock()
	g, _ := c.observer.(Guide)
	return g
}

func (c *Connection) probes(r *http.Request) bool {
	g := c.guide()
	return g != nil && c.registry.options.HoldTimeout > 0 && g.Probes(r)
}

func (c *Connection) refuses(kind Type) bool {
	g := c.guide()
	return g != nil && g.Refuses(kind)
}

// EventStream sets the headers of an event stream.
func EventStream(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	// no-transform and X-Accel-Buffering are ours: proxies that gather a response
	// before they pass it on then let each event through.
	h.Set("Cache-Control", "no-cache,no-store,no-transform")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Encoding", "identity")
	h.Set("X-Accel-Buffering", "no")
}

// Prelude of an event stream is a comment: it makes EventSource fire open.
const Prelude = ":\r\n"

// stripped answers a WebSocket handshake that came without its Upgrade. The original
// takes it for a poll and binds the connection to long polling. Here the id stays usable,
// and the client sees at once that this way is closed.
func (h *Handler) stripped(w http.ResponseWriter, r *http.Request, c *Connection) {
	c.Tell(Event{Kind: Stripped, Transport: WebSockets, Request: r})
	if h.carriers[ServerSentEvents] != nil && c.probes(r) {
		c.probe(w, r)
		return
	}
	Empty(w, http.StatusBadRequest)
}

const (
	// longestProbe is shorter than the limit that carillon.js sets to a handshake, which
	// would look as if the client had its answer.
	longestProbe = 2 * time.Second
	// probeWrites is how often a probe goes on: some proxies notice only then that their
	// client has left.
	probeWrites = 4
)

// probe answers a handshake with the beginning of an event stream. The client for which
// the proxy lets it through has got its answer, no WebSocket, and leaves or negotiates
// anew. The others find out when the probe ends; so does the observer, before such a
// client opens an event stream: a stream that is held back is often passed on when it is
// cut, which the official client takes for its opening, and its start fails.
func (c *Connection) probe(w http.ResponseWriter, r *http.Request) {
	EventStream(w.Header())
	control := http.NewResponseController(w)
	c.Limit(control)
	defer Unlimit(control)
	next := time.NewTicker(min(c.registry.options.HoldTimeout, longestProbe) / probeWrites)
	defer next.Stop()
	for range probeWrites {
		if _, err := io.WriteString(w, Prelude); err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-next.C:
		case <-r.Context().Done():
			return
		case <-c.ctx.Done():
			return
		}
	}
	c.Tell(Event{Kind: Unseen, Transport: ServerSentEvents})
}
