// Package longpolling carries the server's messages in the answers to polls. A poll waits
// until there is a message. The client's messages arrive by POST.
//
// Under HTTP/1.1 a poll waits outside of the HTTP server, because there it would hold a
// goroutine, buffers and a stack. The sender of a message answers the poll with one write,
// and this package reads the next poll on the same network connection. All other requests on
// that connection are passed to the HTTP server. Other polls wait within the HTTP server.
package longpolling

import (
	"net/http"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// Carry returns a function that answers polls for registry's connections. The first poll
// opens the connection and is answered at once, so that the client knows that it is open.
func Carry(registry *connection.Registry) connection.Carry {
	l := newLines(registry.Poller())
	registry.Keep(l)
	return func(w http.ResponseWriter, r *http.Request, c *connection.Connection) {
		first, err := c.Claim(transports.LongPolling, r)
		if err != nil {
			connection.Refuse(w, err)
			return
		}
		defer c.Rest() // also if a middleware's writer panics
		if first {
			connection.LetWait(w, r)                  // for the application
			_ = c.Open(nil, connection.Resumption(r)) // if the connection has ended, a later poll reports it
			c.Limit(http.NewResponseController(w))
			_ = data(w, new(batch))
			return
		}
		l.carry(w, r, c)
	}
}

// carry makes the poll wait, outside of the HTTP server if possible.
func (l *lines) carry(w http.ResponseWriter, r *http.Request, c *connection.Connection) {
	if !portable(w.Header(), r) {
		serve(w, r, c)
		return
	}
	if here := find(w); here != nil && here.line.server.lines == l {
		here.park(r, c)
		return
	}
	if !c.HasNews() {
		if answer := l.leave(w, r, c); answer != nil {
			answer.park(r, c)
			answer.goOn()
			return
		}
	}
	serve(w, r, c)
}

// patience returns the time limit of a poll. It is shorter than the network's limit of
// silence, with enough margin for the answer to arrive.
func patience(c *connection.Connection) time.Duration {
	if limit := c.SilenceLimit(); limit > 0 {
		return min(c.Options().PollTimeout, limit*3/5)
	}
	return c.Options().PollTimeout
}
