// Package longpolling carries what a server sends in the answers to polls, each of
// which waits until there is something; what the client sends comes by POST.
package longpolling

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// Serve answers one poll. The first one opens the connection and is answered at
// once, which tells the client that it is there.
func Serve(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
	first, err := c.Claim(transports.LongPolling, r)
	if err != nil {
		transports.Refuse(w, err)
		return
	}
	if first {
		_ = c.Open(nil) // a poll that finds the connection ended tells
		_ = data(w, nil)
		c.Rest()
		return
	}
	p := &poll{wake: make(chan struct{}, 1), over: make(chan struct{}, 1)}
	older, err := c.Attach(p)
	if err != nil {
		transports.Refuse(w, err)
		return
	}
	if older != nil {
		older.Cut(transports.ErrCut)
	}
	p.serve(w, r, c)
}

// poll is a waiting request.
type poll struct {
	wake chan struct{}
	over chan struct{}
}

// Wake implements transports.Carrier.
func (p *poll) Wake() { signal(p.wake) }

// Cut implements transports.Carrier: a newer poll came, or the connection ended.
func (p *poll) Cut(error) { signal(p.over) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (p *poll) serve(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
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

// patience is how long a poll waits: no longer than the network lets it, by far enough
// for the answer to get through.
func patience(c *transports.Connection) time.Duration {
	if limit := c.SilenceLimit(); limit > 0 {
		return min(c.Options().PollTimeout, limit*3/5)
	}
	return c.Options().PollTimeout
}

// answer sends all that is queued in one body.
func (p *poll) answer(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
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
	control := http.NewResponseController(w)
	c.Limit(control)
	if err := b.send(w); err != nil {
		c.PutBack(b.frames)
	} else {
		transports.Unlimit(control)
	}
	c.Detach(p, nil)
}

// batch is what an answer needs, kept from one to the next.
type batch struct {
	frames []*frame.Frame
	body   []byte
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// maxIdleBody is the largest body that is kept.
const maxIdleBody = 64 << 10

func (b *batch) giveBack() {
	clear(b.frames)
	b.frames = b.frames[:0]
	if cap(b.body) <= maxIdleBody {
		batches.Put(b)
	}
}

// gather takes what is queued, up to what may be queued at once: what comes
// meanwhile must not make a body without end.
func (b *batch) gather(c *transports.Connection, p *poll) (outcome transports.Outcome) {
	for size := 0; ; {
		had := len(b.frames)
		b.frames, outcome = c.Next(p, b.frames)
		for _, f := range b.frames[had:] {
			size += f.Len()
		}
		if outcome != transports.Frames || size >= c.Options().MaxQueueBytes {
			return outcome
		}
	}
}

func (p *poll) nothing(w http.ResponseWriter, c *transports.Connection, outcome transports.Outcome) {
	if outcome == transports.Finished {
		c.Finish(transports.ErrApplication)
	}
	c.Detach(p, nil)
	transports.Empty(w, http.StatusNoContent)
}

// send answers with what is queued, as it is: polls have no framing of their own.
func (b *batch) send(w http.ResponseWriter) error {
	b.body = b.body[:0]
	for _, f := range b.frames {
		b.body = append(b.body, f.Payload()...)
	}
	return data(w, b.body)
}

var octetStream = []string{"application/octet-stream"}

func data(w http.ResponseWriter, body []byte) error {
	header := w.Header()
	header["Content-Type"] = octetStream
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(body); err != nil {
		return err
	}
	// Flushing tells whether the client is still there; it is sent without, too.
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
