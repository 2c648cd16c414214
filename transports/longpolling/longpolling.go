// Package longpolling carries what a server sends in the answers to polls, each of
// which waits until there is something; what the client sends comes by POST.
//
// A poll that waits under HTTP/1.1 does so outside of the HTTP server, whose goroutines,
// buffers and stack it would hold: its answer is one write of whoever sends, and the next
// poll on the same network connection is read here. Whatever else comes there goes to the
// HTTP server. Other polls wait within it.
package longpolling

import (
	"net/http"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// Carry answers polls of registry's connections. The first one opens the connection and is
// answered at once, which tells the client that it is there.
func Carry(registry *transports.Registry) transports.Carry {
	l := newLines(registry.Running())
	registry.Keep(l)
	return func(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
		first, err := c.Claim(transports.LongPolling, r)
		if err != nil {
			transports.Refuse(w, err)
			return
		}
		defer c.Rest() // also if the writer of a middleware panics
		if first {
			_ = c.Open(nil, transports.Resumption(r)) // a poll that finds the connection ended tells
			_ = data(w, new(batch))
			return
		}
		l.carry(w, r, c)
	}
}

// carry has the poll wait, outside of the HTTP server if that can be.
func (l *lines) carry(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
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

// patience is how long a poll waits: no longer than the network lets it, by far enough
// for the answer to get through.
func patience(c *transports.Connection) time.Duration {
	if limit := c.SilenceLimit(); limit > 0 {
		return min(c.Options().PollTimeout, limit*3/5)
	}
	return c.Options().PollTimeout
}
