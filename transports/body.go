package transports

import (
	"net/http"
	"time"
)

// body is the POST whose body is being read. Guarded by the connection's lock.
type body struct {
	w    http.ResponseWriter // nil: none is
	done chan struct{}       // closed when it is read; nil: nobody waits
}

// cut ends the reading.
func (b *body) cut() {
	if b.w != nil {
		_ = http.NewResponseController(b.w).SetReadDeadline(time.Now())
	}
}

// beginBody notes that a body is being read, so that it can be cut; false: the request
// belongs to what carries no more.
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

// hurry ends the reading of a body that its client does not finish, once the
// connection has been over for CloseTimeout.
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
