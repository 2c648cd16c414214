package connection

import (
	"errors"
	"net/http"
	"time"
)

// body is the POST that is being read. The connection's lock guards it.
type body struct {
	w    http.ResponseWriter // nil: no body is being read
	done chan struct{}       // closed when the body is read; nil: no goroutine waits
}

// cut interrupts the reading.
func (b *body) cut() {
	if b.w != nil {
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Now())
	}
}

// beginBody records that a body is being read, so that it can be cut. It reports false if the
// request belongs to an earlier carrier.
func (c *Connection) beginBody(w http.ResponseWriter, number int) bool {
	c.mu.Lock()
	current := c.belongs(number)
	if current {
		c.body.w = w
	}
	c.mu.Unlock()
	if current && c.ctx.Err() != nil {
		c.hurry()
	}
	return current
}

func (c *Connection) endBody() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.body.done != nil {
		close(c.body.done)
	}
	c.body = body{}
}

// hurry interrupts the reading of an unfinished body when the connection has been closed for
// CloseTimeout.
func (c *Connection) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.body.w == nil || c.body.done != nil {
		return
	}
	done := make(chan struct{})
	c.body.done = done
	c.registry.running.Go(func() {
		patience := time.NewTimer(c.registry.options.CloseTimeout)
		defer patience.Stop()
		select {
		case <-done:
			return
		case <-patience.C:
		case <-c.registry.cutting.Done():
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.body.done == done {
			c.body.cut()
		}
	})
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
func (c *Connection) extend(p *bodyPatience, waited time.Duration) {
	if p == nil || waited < time.Millisecond {
		return
	}
	p.end = p.end.Add(waited)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() == nil { // otherwise cut may have set the deadline
		_ = p.control.SetReadDeadline(p.end)
	}
}
