package longpolling

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// request is a poll that waits within the HTTP server.
type request struct {
	w    http.ResponseWriter
	r    *http.Request
	c    *connection.Connection
	wake chan struct{}
	over chan struct{}
}

// Wake implements transports.Carrier.
func (p *request) Wake() { signal(p.wake) }

// Cut implements transports.Carrier. A newer poll has arrived, or the connection has ended.
func (p *request) Cut(error) { signal(p.over) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func serve(w http.ResponseWriter, r *http.Request, c *connection.Connection) {
	end := connection.LetWait(w, r)
	p := &request{w: w, r: r, c: c, wake: make(chan struct{}, 1), over: make(chan struct{}, 1)}
	older, err := c.Attach(p, r)
	if err != nil {
		connection.Refuse(w, err)
		return
	}
	if older != nil {
		older.Cut(transports.ErrCut)
	}
	p.serve(end)
}

// serve waits until the poll can be answered, but not longer than until end unless that is
// zero.
func (p *request) serve(end time.Time) {
	begun := time.Now()
	wait := patience(p.c)
	if !end.IsZero() {
		wait = min(wait, end.Sub(begun))
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	select {
	case <-p.over:
		p.empty(http.StatusNoContent)
	case <-timeout.C:
		p.c.Detach(p, nil)
		p.empty(http.StatusOK)
	case <-p.r.Context().Done():
		p.interrupted(begun)
	case <-p.wake:
		p.answer()
	}
}

// interrupted ends a poll whose context has ended, because its client has left or a deadline
// is over.
func (p *request) interrupted(begun time.Time) {
	if errors.Is(p.r.Context().Err(), context.DeadlineExceeded) {
		p.c.Detach(p, nil)
		p.empty(http.StatusOK)
		return
	}
	p.c.CutAfter(time.Since(begun))
	p.c.Detach(p, nil)
}

// empty answers the poll without a body.
func (p *request) empty(status int) {
	p.c.Limit(http.NewResponseController(p.w))
	connection.Empty(p.w, status)
}

// answer sends the queue in one body.
func (p *request) answer() {
	if p.r.Context().Err() != nil { // the next poll gets the queue
		p.interrupted(time.Now())
		return
	}
	b := batches.Get().(*batch)
	defer b.giveBack()
	outcome := b.gather(p.c, p)
	if len(b.frames) == 0 {
		p.nothing(outcome)
		return
	}
	sent := false
	defer func() { // also if a middleware's writer panics
		if !sent {
			p.c.PutBack(p, b.frames)
		}
		p.c.Detach(p, nil)
	}()
	p.c.Limit(http.NewResponseController(p.w))
	b.bytes = b.bytes[:0]
	sent = data(p.w, b) == nil
}

func (p *request) nothing(outcome connection.Outcome) {
	if outcome == connection.Finished {
		p.c.Finish(transports.ErrApplication)
	}
	p.c.Detach(p, nil)
	p.empty(http.StatusNoContent)
}

var octetStream = []string{"application/octet-stream"}

// data answers with the frames of b.
func data(w http.ResponseWriter, b *batch) error {
	header := w.Header()
	header["Content-Type"] = octetStream
	header["Content-Length"] = []string{strconv.Itoa(length(b.frames))}
	w.WriteHeader(http.StatusOK)
	if len(b.frames) == 0 { // flushing would begin a compressed body and not end it
		return nil
	}
	if err := b.writeTo(w); err != nil {
		return err
	}
	// Flush reports whether the client is still connected. The answer is sent without it,
	// too.
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
