package longpolling

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/notify"
)

// inlinePoll is a poll that waits within the HTTP server.
type inlinePoll struct {
	w    http.ResponseWriter
	c    *connection.Connection
	wake notify.Signal
	over notify.Signal
}

// Wake implements connection.Carrier.
func (p *inlinePoll) Wake() { p.wake.Notify() }

// Cut implements connection.Carrier. A newer poll has arrived, or the connection has ended.
func (p *inlinePoll) Cut(error) { p.over.Notify() }

// serve answers a poll within the HTTP server.
func serve(w http.ResponseWriter, r *http.Request, c *connection.Connection) {
	end := connection.LetWait(w, r)
	p := &inlinePoll{w: w, c: c, wake: notify.NewSignal(), over: notify.NewSignal()}
	if err := attach(c, p, r); err != nil {
		connection.Refuse(w, err)
		return
	}
	p.wait(r.Context(), end)
}

// wait waits until the poll can be answered, but not longer than until end unless that is
// zero.
func (p *inlinePoll) wait(ctx context.Context, end time.Time) {
	begun := time.Now()
	wait := patience(p.c)
	if !end.IsZero() {
		wait = min(wait, end.Sub(begun))
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	select {
	case <-p.over:
		_ = p.empty(http.StatusNoContent)
		return
	case <-timeout.C:
		expire(p.c, p)
		return
	case <-ctx.Done():
	case <-p.wake:
		begun = time.Now()
	}
	switch err := ctx.Err(); {
	case err == nil:
		deliver(p.c, p)
	case errors.Is(err, context.DeadlineExceeded):
		expire(p.c, p)
	default: // the next poll gets the queue
		clientLeft(p.c, p, begun)
	}
}

// empty implements poll.
func (p *inlinePoll) empty(status int) error {
	p.c.Limit(http.NewResponseController(p.w))
	connection.Empty(p.w, status)
	return nil
}

var octetStream = []string{"application/octet-stream"}

// data implements poll.
func (p *inlinePoll) data(b batch) error {
	control := http.NewResponseController(p.w)
	p.c.Limit(control)
	header := p.w.Header()
	header["Content-Type"] = octetStream
	header["Content-Length"] = []string{strconv.Itoa(length(b.Frames))}
	p.w.WriteHeader(http.StatusOK)
	if len(b.Frames) == 0 { // flushing would begin a compressed body and not end it
		return nil
	}
	if err := b.writeTo(p.w); err != nil {
		return err
	}
	// Flush reports whether the client is still connected. The answer is sent without it,
	// too.
	if err := control.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
