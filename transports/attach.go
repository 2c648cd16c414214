package transports

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/frame"
)

// Why a request cannot have its connection.
var (
	ErrActive         = errors.New("transports: the connection has an open request already")
	ErrOtherTransport = errors.New("transports: the connection uses another transport")
)

// Claim reserves the connection for a request of a transport. first tells that it
// is the one that opens it. It fails with ErrActive, ErrOtherTransport or ErrEnded.
// A newer WebSocket of a stateful connection cuts the older one; a newer poll takes
// its place when it is attached.
func (c *Connection) Claim(kind Type, r *http.Request) (first bool, err error) {
	c.mu.Lock()
	older := c.carrier
	switch {
	case c.kind != "" && c.kind != kind:
		err = ErrOtherTransport
	case c.state >= disposing:
		err = ErrEnded
	case c.kind == "":
		first = true
		c.kind, c.request, c.state = kind, r, open
	case kind == LongPolling:
		older = nil
	case !c.stateful || kind != WebSockets:
		err = ErrActive
	case c.state == closing:
		err = ErrEnded
	}
	if err != nil {
		c.mu.Unlock()
		return false, err
	}
	if older != nil {
		c.carrier, c.writing = nil, false
	}
	c.left = time.Time{}
	c.mu.Unlock()
	c.registry.setLoose(c, false)
	if older != nil {
		older.Cut(ErrCut)
	}
	return first, nil
}

// Open gives the connection to the application: the first time by Connect, with
// what was posted before; after a break by Resumed.
func (c *Connection) Open() error {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if c.receiver != nil {
		return c.resume()
	}
	receiver, err := c.registry.app.Connect(c)
	if err != nil {
		c.end(err, true)
		return err
	}
	c.mu.Lock()
	early, told := c.inbox.drop(), c.told
	c.mu.Unlock()
	if told {
		receiver.Disconnected(context.Cause(c.ctx))
		return ErrEnded
	}
	c.receiver = receiver
	if len(early) > 0 {
		return c.receive(early)
	}
	return nil
}

func (c *Connection) resume() error {
	r, ok := c.receiver.(Resumer)
	if !ok {
		return ErrEnded
	}
	c.mu.Lock()
	c.queue.drop()
	c.mu.Unlock()
	r.Resumed()
	return nil
}

// Attach makes k the carrier. The older poll that it replaces is returned.
func (c *Connection) Attach(k Carrier) (older Carrier, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= disposing {
		return nil, ErrEnded
	}
	older, c.carrier, c.writing = c.carrier, k, false
	if len(c.queue.frames) > 0 || c.state == closing {
		c.wake()
	}
	return older, nil
}

// Outcome is what Next found.
type Outcome uint8

// What Next finds.
const (
	Frames   Outcome = iota // there are frames to send
	Idle                    // there is nothing; the carrier is woken for the next
	Finished                // everything was sent and the application has closed: end in order
	Replaced                // the carrier is not the connection's any more
)

// batchBytes is about how much one write sends.
const batchBytes = 64 << 10

// Next appends what k is to send now to dst.
func (c *Connection) Next(k Carrier, dst []*frame.Frame) ([]*frame.Frame, Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.carrier != k:
		return dst, Replaced
	case len(c.queue.frames) > 0:
		return c.queue.take(dst, batchBytes, c.registry.options.WaitBytes), Frames
	case c.state == closing:
		return dst, Finished
	}
	c.writing = false
	return dst, Idle
}

// PutBack returns frames that Next gave and k could not send.
func (c *Connection) PutBack(frames []*frame.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state < disposing {
		c.queue.putBack(frames)
	}
}

// Detach takes k away: its request has ended, for that cause. Long polling goes on
// with the next poll, a stateful connection with the next WebSocket; else it is over.
func (c *Connection) Detach(k Carrier, cause error) {
	c.mu.Lock()
	if c.carrier != k || c.state >= disposing {
		c.mu.Unlock()
		return
	}
	interrupted := c.stateful && c.kind == WebSockets && c.state == open && errors.Is(cause, ErrCut)
	if c.kind != LongPolling && !interrupted {
		c.mu.Unlock()
		c.end(cause, false)
		return
	}
	c.carrier, c.writing = nil, false
	c.left = time.Now()
	c.mu.Unlock()
	c.registry.setLoose(c, true)
	if interrupted {
		c.interrupt()
	}
}

func (c *Connection) interrupt() {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if r, ok := c.receiver.(Resumer); ok {
		r.Interrupted()
	}
}

// Rest ends a request that had no carrier: the first poll.
func (c *Connection) Rest() {
	c.mu.Lock()
	resting := c.carrier == nil && c.state < disposing
	if resting {
		c.left = time.Now()
	}
	c.mu.Unlock()
	if resting {
		c.registry.setLoose(c, true)
	}
}

// Finish ends the connection after its carrier ended in order, or the client left.
func (c *Connection) Finish(cause error) { c.end(cause, false) }

// Post hands what a client sent by a request of its own to the application, or
// keeps it until there is one.
func (c *Connection) Post(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		c.receiving.Lock()
		if c.receiver != nil {
			err := c.receive(data)
			c.receiving.Unlock()
			return err
		}
		c.mu.Lock()
		if c.state != negotiated && c.state != open {
			c.mu.Unlock()
			c.receiving.Unlock()
			return ErrEnded
		}
		data = c.inbox.put(data, c.registry.options.MaxReceiveBytes)
		opened := c.inbox.wait()
		c.mu.Unlock()
		c.receiving.Unlock()
		if len(data) == 0 {
			return nil
		}
		select {
		case <-opened:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ctx.Done():
			return ErrEnded
		}
	}
	return nil
}
