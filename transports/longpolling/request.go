package longpolling

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// request is a poll that waits within the HTTP server.
type request struct {
	wake chan struct{}
	over chan struct{}
}

// Wake implements transports.Carrier.
func (p *request) Wake() { signal(p.wake) }

// Cut implements transports.Carrier: a newer poll came, or the connection ended.
func (p *request) Cut(error) { signal(p.over) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func serve(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
	p := &request{wake: make(chan struct{}, 1), over: make(chan struct{}, 1)}
	older, err := c.Attach(p, r)
	if err != nil {
		transports.Refuse(w, err)
		return
	}
	if older != nil {
		older.Cut(transports.ErrCut)
	}
	p.serve(w, r, c)
}

func (p *request) serve(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
	begun, timeout := time.Now(), time.NewTimer(patience(c))
	defer timeout.Stop()
	select {
	case <-p.over:
		transports.Empty(w, http.StatusNoContent)
	case <-timeout.C:
		c.Detach(p, nil)
		transports.Empty(w, http.StatusOK)
	case <-r.Context().Done():
		c.CutAfter(time.Since(begun))
		c.Detach(p, nil)
	case <-p.wake:
		p.answer(w, r, c)
	}
}

// answer sends all that is queued in one body.
func (p *request) answer(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
	if r.Context().Err() != nil { // the client is gone: the next poll gets it
		c.Detach(p, nil)
		return
	}
	b := batches.Get().(*batch)
	defer b.giveBack()
	outcome := b.gather(c, p)
	if len(b.frames) == 0 {
		p.nothing(w, c, outcome)
		return
	}
	sent := false
	defer func() { // also if the writer of a middleware panics
		if !sent {
			c.PutBack(p, b.frames)
		}
		c.Detach(p, nil)
	}()
	control := http.NewResponseController(w)
	c.Limit(control)
	defer transports.Unlimit(control)
	b.bytes = b.bytes[:0]
	sent = data(w, b) == nil
}

func (p *request) nothing(w http.ResponseWriter, c *transports.Connection, outcome transports.Outcome) {
	if outcome == transports.Finished {
		c.Finish(transports.ErrApplication)
	}
	c.Detach(p, nil)
	transports.Empty(w, http.StatusNoContent)
}

var octetStream = []string{"application/octet-stream"}

// data answers with the frames of b.
func data(w http.ResponseWriter, b *batch) error {
	header := w.Header()
	header["Content-Type"] = octetStream
	header["Content-Length"] = []string{strconv.Itoa(length(b.frames))}
	w.WriteHeader(http.StatusOK)
	if err := b.writeTo(w); err != nil {
		return err
	}
	// Flushing tells whether the client is still there; it is sent without, too.
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
