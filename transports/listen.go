package transports

import (
	"net/http"
	"strings"
)

// ServeListener answers a GET with an event stream for a client that only listens, such
// as EventSource or curl: without negotiation, on a connection that takes nothing.
func (h *Handler) ServeListener(w http.ResponseWriter, r *http.Request) {
	if !h.registry.enter() {
		Unavailable(w)
		return
	}
	defer h.registry.running.Done()
	if h.registry.RefuseLongHead(w, r) {
		return
	}
	if !strings.EqualFold(r.Method, http.MethodGet) {
		NotAllowed(w, r)
		return
	}
	carry := h.carriers[ServerSentEvents]
	if carry == nil {
		notSupported(w, ServerSentEvents)
		return
	}
	c, err := h.registry.Create(r, true) // nobody is told the token
	if err != nil {
		RefuseNew(w, err)
		return
	}
	c.listens = true
	carry(w, r, c)
}

// Listens tells whether the client can only listen: no handshake is to be waited for.
func (c *Connection) Listens() bool { return c.listens }
