// Package longpolling carries the server's messages in the answers to polls. A poll waits
// until there is a message. The client's messages arrive by POST.
//
// Under HTTP/1.1 a poll waits outside of the HTTP server, because there it would hold a
// goroutine, buffers and a stack. The sender of a message answers the poll with one write,
// and package reentry reads the next poll on the same network connection. All other requests
// on that connection are passed to the HTTP server. Other polls wait within the HTTP server.
package longpolling

import (
	"net/http"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/internal/socket"
	"github.com/carillon-go/carillon/transports/longpolling/internal/reentry"
)

// Carry returns a function that answers polls for registry's connections. The first poll
// opens the connection and is answered at once, so that the client knows that it is open.
func Carry(registry *connection.Registry) connection.Carry {
	outside := reentry.New(registry.Poller())
	registry.Keep(outside)
	return func(w http.ResponseWriter, r *http.Request, c *connection.Connection) {
		first, err := c.Claim(transports.LongPolling, r)
		if err != nil {
			connection.Refuse(w, err)
			return
		}
		defer c.ReleaseIdle() // also if a middleware's writer panics
		if first {
			connection.LetWait(w, r)                  // for the application
			_ = c.Open(nil, connection.Resumption(r)) // if the connection has ended, a later poll reports it
			_ = (&inlinePoll{w: w, c: c}).data(batch{new(socket.Batch)})
			return
		}
		if !park(outside, w, r, c) {
			serve(w, r, c)
		}
	}
}

// park makes a poll wait outside of the HTTP server. It reports false if the poll must be
// answered within the server.
func park(outside *reentry.Conns, w http.ResponseWriter, r *http.Request, c *connection.Connection) bool {
	if c.Options().KeepPollsInServer || !reentry.Portable(w.Header(), r) {
		return false
	}
	if again := outside.Find(w); again != nil {
		parkOn(again, r, c)
		return true
	}
	if c.HasNews() {
		return false
	}
	taken := outside.Take(w, r, c.Hijack)
	if taken == nil {
		return false
	}
	parkOn(taken, r, c)
	taken.Resume()
	return true
}

// parkOn makes the poll that w answers wait.
func parkOn(w *reentry.Response, r *http.Request, c *connection.Connection) {
	p := &parkedPoll{conn: w.Conn(), c: c, begun: time.Now()}
	w.Park(p, patience(c))
	if err := attach(c, p, r); err != nil && w.Unpark(p) {
		connection.Refuse(w, err)
	}
}

// attach makes k the carrier of c and ends the poll that it replaces.
func attach(c *connection.Connection, k connection.Carrier, r *http.Request) error {
	older, err := c.Attach(k, connection.Resumption(r))
	if older != nil {
		older.Cut(transports.ErrCut)
	}
	return err
}

// patience returns the time limit of a poll. It is shorter than the network's limit of
// silence, with enough margin for the answer to arrive.
func patience(c *connection.Connection) time.Duration {
	if limit := c.SilenceLimit(); limit > 0 {
		return min(c.Options().PollTimeout, limit*3/5)
	}
	return c.Options().PollTimeout
}
