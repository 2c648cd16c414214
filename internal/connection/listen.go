package connection

import (
	"io"
	"net/http"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/transports"
)

// ServeListener answers a GET with an event stream for a client that only listens, such as
// EventSource or curl. The client does not negotiate and cannot send. A refusal that ends
// soon is answered by PutOff; other refusals are final and have an error status.
func (h *Handler) ServeListener(w http.ResponseWriter, r *http.Request) {
	h.serve(w, r, PutOff, h.listen)
}

func (h *Handler) listen(w http.ResponseWriter, r *http.Request) {
	if !fold.Equal(r.Method, http.MethodGet) {
		NotAllowed(w, r)
		return
	}
	carry := h.carriers[transports.ServerSentEvents]
	if carry == nil {
		NotSupported(w, transports.ServerSentEvents)
		return
	}
	c, err := h.registry.Create(r, true) // the token is sent to no client
	if err != nil {
		PutOff(w)
		return
	}
	c.listens = true
	defer c.endUnclaimed()
	carry(w, r, c)
}

// PutOff answers a listening client that cannot be served now, because the server shuts down
// or a limit is reached, with an event stream that ends at once. An EventSource takes every
// status but 200 for final, and a proxy turns a connection that closes without an answer into
// a 502. The client reconnects after five seconds.
func PutOff(w http.ResponseWriter) {
	EventStream(w.Header())
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, Prelude+"retry: 5000\r\n\r\n")
}

// Listens reports whether the client only listens, so that it sends no handshake.
func (c *Connection) Listens() bool { return c.listens }
