package connection

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"

	"github.com/carillon-go/carillon/internal/link"
)

// Hijack takes the network connection of an HTTP/1.1 request from the HTTP server. It fails
// if a middleware's writer hides http.Hijacker. That is logged once for each type of writer.
func (c *Connection) Hijack(w http.ResponseWriter) (conn net.Conn, rw *bufio.ReadWriter, err error) {
	if hiding := hides[http.Hijacker](w); hiding != nil {
		c.registry.complaints.warn(c, "it hides http.Hijacker: WebSockets fail", fmt.Sprintf("%T", hiding))
		return nil, nil, http.ErrNotSupported
	}
	defer func() { // some writers have the method and assert it on the next writer
		p := recover()
		if failed, ok := p.(*runtime.TypeAssertionError); ok {
			err = errors.Join(http.ErrNotSupported, failed)
		} else if p != nil {
			panic(p)
		}
	}()
	if conn, rw, err = http.NewResponseController(w).Hijack(); err == nil {
		link.LimitUnacknowledged(conn, c.Options().UnacknowledgedTimeout())
	}
	return conn, rw, err
}

// hides returns the innermost writer that w wraps if it does not have the methods T, else
// nil. The methods of the outer writers do not count, because those pass calls on.
func hides[T any](w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = outer.Unwrap()
	}
	if _, ok := w.(T); ok {
		return nil
	}
	return w
}

// CannotStream reports whether the answer to a request cannot be an event stream. There are
// two reasons: a middleware's writer hides http.Flusher, so that events would be delayed, or
// the stream has a deadline (ends) and the client can use another transport. Each reason is
// logged once for each type of writer.
func (c *Connection) CannotStream(w http.ResponseWriter, ends bool) bool {
	if hiding := hides[http.Flusher](w); hiding != nil && hides[interface{ FlushError() error }](w) != nil {
		c.registry.complaints.warn(c, "it hides http.Flusher: event streams are refused", fmt.Sprintf("%T", hiding))
		return true
	}
	if !ends || c.listens {
		return false
	}
	c.registry.complaints.warn(c, "requests have a deadline: event streams are refused", fmt.Sprintf("%T", w))
	return true
}

// complaints holds the warnings about middleware that were logged.
type complaints struct {
	mu   sync.Mutex
	made map[[2]string]bool
}

// maxComplaints is the limit of the warnings that are logged in total.
const maxComplaints = 20

// warn logs a warning about a type of writer, unless it was logged before.
func (all *complaints) warn(c *Connection, warning, writer string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	key := [2]string{warning, writer}
	if all.made[key] || len(all.made) >= maxComplaints {
		return
	}
	if all.made == nil {
		all.made = map[[2]string]bool{}
	}
	all.made[key] = true
	c.registry.logger.Warn("middleware limits the endpoint", "reason", warning, "writer", writer)
}
