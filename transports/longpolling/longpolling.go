// Package longpolling carries what a server sends in the answers to polls, each of
// which waits until there is something; what the client sends comes by POST.
package longpolling

import (
	"errors"
	"net/http"
	"strconv"
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
	frames, outcome := gather(c, p)
	if len(frames) == 0 {
		p.nothing(w, c, outcome)
		return
	}
	control := http.NewResponseController(w)
	c.Limit(control)
	if err := data(w, frames); err != nil {
		c.PutBack(frames)
	} else {
		transports.Unlimit(control)
	}
	c.Detach(p, nil)
}

// gather takes what is queued, up to what may be queued at once: what comes
// meanwhile must not make a body without end.
func gather(c *transports.Connection, p *poll) ([]*frame.Frame, transports.Outcome) {
	var frames []*frame.Frame
	for size := 0; ; {
		had := len(frames)
		var outcome transports.Outcome
		frames, outcome = c.Next(p, frames)
		for _, f := range frames[had:] {
			size += f.Len()
		}
		if outcome != transports.Frames || size >= c.Options().MaxQueueBytes {
			return frames, outcome
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

// data answers with what is queued, as it is: polls have no framing of their own.
func data(w http.ResponseWriter, frames []*frame.Frame) error {
	size := 0
	for _, f := range frames {
		size += f.Len()
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(http.StatusOK)
	body := make([]byte, 0, size)
	for _, f := range frames {
		body = append(body, f.Payload()...)
	}
	if _, err := w.Write(body); err != nil {
		return err
	}
	// Flushing tells whether the client is still there; it is sent without, too.
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
