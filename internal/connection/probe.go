package connection

import (
	"io"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// EventStream sets the headers of an event stream.
func EventStream(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	// no-transform and X-Accel-Buffering are additions to ASP.NET Core's headers. With them,
	// proxies that buffer responses pass on each event at once.
	h.Set("Cache-Control", "no-cache,no-store,no-transform")
	h.Set("Pragma", "no-cache")
	if h.Get("Content-Encoding") == "" { // a middleware that compresses has set it
		h.Set("Content-Encoding", "identity")
	}
	h.Set("X-Accel-Buffering", "no")
}

// Prelude is the comment with which an event stream begins. It makes EventSource fire open.
const Prelude = ":\r\n"

// stripped answers a WebSocket handshake that arrived without its Upgrade. ASP.NET Core takes
// it for a poll and binds the connection to long polling. Here the id remains usable, and the
// client sees at once that the handshake has failed. A connection with another transport is
// left to the caller, which refuses the poll as ASP.NET Core does.
func (h *Handler) stripped(w http.ResponseWriter, r *http.Request, c *Connection) (answered bool) {
	c.Tell(transports.Event{Kind: transports.Stripped, Transport: transports.WebSockets, Request: r})
	if kind := c.Transport(); kind != "" && kind != transports.LongPolling {
		return false
	}
	if h.probes(r, c) {
		h.probe(w, r, c)
		return true
	}
	Empty(w, http.StatusBadRequest)
	return true
}

// probes reports whether a handshake without its Upgrade is answered like an event stream.
func (h *Handler) probes(r *http.Request, c *Connection) bool {
	g := c.guide()
	return g != nil && h.carriers[transports.ServerSentEvents] != nil && c.Options().HoldTimeout > 0 && g.Probes(r)
}

const (
	// longestProbe is shorter than the time limit that carillon.js sets for a handshake. At
	// that limit the client would look as if it had received the answer.
	longestProbe = 2 * time.Second
	// probeWrites is the number of writes of a probe. Some proxies notice only at a write
	// that their client has left.
	probeWrites = 4
)

// probe answers a handshake with the beginning of an event stream. If the proxy passes the
// response on, the client sees a failed handshake, and leaves or negotiates again. If the
// proxy buffers it, the client learns of the failure when the probe ends. The observer learns
// of it earlier than the client can open an event stream, in every process. That matters
// because a proxy often passes on a buffered stream when it is cut, the official client takes
// this for the opening, and its start fails.
func (h *Handler) probe(w http.ResponseWriter, r *http.Request, c *Connection) {
	EventStream(w.Header())
	control := http.NewResponseController(w)
	c.Limit(control)
	next := time.NewTicker(min(c.Options().HoldTimeout, longestProbe) / probeWrites)
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
	c.Tell(transports.Event{Kind: transports.Unseen, Transport: transports.ServerSentEvents})
	if e := h.registry.elsewhere; e != nil {
		e.Tell(r.Context())
	}
}
