package connection

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// body is the POST that is being read.
type body struct {
	mu   sync.Mutex
	w    http.ResponseWriter // nil: no body is being read, or the reading was cut
	done chan struct{}       // closed when the body is read; nil: no goroutine waits
}

func (b *body) begin(w http.ResponseWriter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.w = w
}

func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done != nil {
		close(b.done)
	}
	b.w, b.done = nil, nil
}

// cut interrupts the reading.
func (b *body) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cutLocked()
}

func (b *body) cutLocked() {
	if b.w != nil {
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Now())
		b.w = nil
	}
}

// cutSlow interrupts the reading if it takes longer than CloseTimeout from now on.
func (b *body) cutSlow(r *Registry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.w == nil || b.done != nil {
		return
	}
	done := make(chan struct{})
	b.done = done
	r.work.running.Go(func() {
		limit := time.NewTimer(r.options.CloseTimeout)
		defer limit.Stop()
		select {
		case <-done:
			return
		case <-limit.C:
		case <-r.work.cutting.Done():
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.done == done {
			b.cutLocked()
		}
	})
}

// beginBody records that a body is being read, so that it can be cut. It reports false if the
// request belongs to an earlier carrier.
func (c *Connection) beginBody(w http.ResponseWriter, number int) bool {
	c.mu.Lock()
	current := c.isCurrentLocked(number)
	if current {
		c.body.begin(w)
	}
	c.mu.Unlock()
	if current && c.ctx.Err() != nil {
		c.body.cutSlow(c.registry)
	}
	return current
}

// errBodyLate means that a body was incomplete at the end of http.Server.ReadTimeout.
var errBodyLate = errors.New("transports: the body of a POST did not come in time")

// bodyPatience is the time limit of a body in the HTTP server.
type bodyPatience struct {
	control *http.ResponseController
	end     time.Time // end of http.Server.ReadTimeout
}

// newBodyPatience returns nil if the HTTP server has no such limit.
func newBodyPatience(w http.ResponseWriter, r *http.Request) *bodyPatience {
	s := serverOf(r)
	if s == nil || s.ReadTimeout <= 0 {
		return nil
	}
	return &bodyPatience{http.NewResponseController(w), time.Now().Add(s.ReadTimeout)}
}

// extend extends the limit by the time for which the application has delayed the reading of
// the body.
func (b *body) extend(ctx context.Context, p *bodyPatience, waited time.Duration) {
	if p == nil || waited < time.Millisecond {
		return
	}
	p.end = p.end.Add(waited)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.w != nil && ctx.Err() == nil { // otherwise the reading is cut, or will be
		_ = p.control.SetReadDeadline(p.end)
	}
}
