package connection

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// HangUp ends the connection like Close, but without the closing handshake of a WebSocket:
// the queue is sent, then the network connection is reset.
func (c *Connection) HangUp(cause error) {
	c.mu.Lock()
	c.hangsUp = true
	c.mu.Unlock()
	c.Close(cause)
}

// HangsUp reports whether HangUp was called.
func (c *Connection) HangsUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hangsUp
}

// Close ends the connection in order: it accepts no more frames, the queue is sent, then the
// carrier ends.
func (c *Connection) Close(cause error) {
	c.mu.Lock()
	if c.state != open && c.state != negotiated {
		c.mu.Unlock()
		return
	}
	c.state = closing
	c.letPosts()
	c.wake()
	stranded := c.carrier == nil && c.resumable && c.kind != transports.LongPolling && !c.left.IsZero()
	c.mu.Unlock()
	c.disconnect(cause)
	if stranded { // no client can return to receive the queue
		c.end(cause, false)
	}
}

// Abort ends the connection at once. It drops the queue and cuts the carrier.
func (c *Connection) Abort(cause error) { c.end(cause, true) }

// disconnect cancels the context and calls Disconnected. The receiver may be in a call now,
// perhaps in the call that led here, so a goroutine calls Disconnected. The registry waits
// for it.
func (c *Connection) disconnect(cause error) {
	c.cancel(cause)
	c.hurry()
	c.registry.running.Go(func() {
		defer c.release()
		defer c.setTold()
		c.tell()
	})
}

func (c *Connection) setTold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = true
}

func (c *Connection) tell() {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if r := c.receiver; r != nil {
		c.receiver = nil
		returned := false
		defer c.rescue(&returned, nil)
		cause := context.Cause(c.ctx)
		if errors.Is(cause, transports.ErrClientGone) {
			cause = nil
		}
		r.Disconnected(cause)
		returned = true
	}
}

// rescue, deferred, ends this connection, and no other one, after a panic of the application
// or runtime.Goexit. returned states that there was neither.
func (c *Connection) rescue(returned *bool, err *error) {
	if *returned {
		return
	}
	p := recover()
	c.logPanic(p)
	c.end(transports.ErrApplication, true)
	if err != nil {
		*err = transports.ErrApplication
	}
}

func (c *Connection) logPanic(p any) {
	c.registry.logPanic("connection", p, slog.String("connection_id", c.LogName()))
}

// end drops the queue and the carrier. A second call does nothing.
func (c *Connection) end(cause error, cut bool) { c.endIf(cause, cut, nil) }

// endIf ends the connection if condition, which is called under the lock, returns true.
func (c *Connection) endIf(cause error, cut bool, condition func() bool) {
	c.mu.Lock()
	if c.state >= disposing || condition != nil && !condition() {
		c.mu.Unlock()
		return
	}
	closed := c.state == closing
	c.state = disposing
	carrier := c.carrier
	c.carrier = nil
	c.left = time.Time{}
	c.queue.drop()
	c.account()
	c.letPosts()
	unclaimed := c.kind == "" && errors.Is(cause, transports.ErrTimeout)
	c.mu.Unlock()
	if c.ticket != nil && c.Posts() == 0 {
		c.ticket.Release(c.id)
	}
	if errors.Is(cause, transports.ErrSendTimeout) {
		_ = c.registry.refuse(&c.registry.refused.sendTimeouts, "time to read what is sent", nil)
	}
	if unclaimed {
		c.Tell(transports.Event{Kind: transports.Unclaimed})
	}
	if !closed {
		c.disconnect(cause)
	}
	if cut && carrier != nil {
		carrier.Cut(cause)
	}
	c.release()
}

// over reports whether the connection has ended.
func (c *Connection) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state >= disposing
}

// awaitEndOfStream waits, if everything was sent over an event stream, until the client has
// read that and the connection has ended, or until ctx ends. It reports whether the
// connection is forgotten then. Requests are answered 404 afterwards, as in ASP.NET Core. An
// earlier answer to a POST would make the .NET client discard the last messages.
func (c *Connection) awaitEndOfStream(ctx context.Context) (forgotten bool) {
	c.mu.Lock()
	if c.kind != transports.ServerSentEvents || !c.finished || c.state != closing {
		c.mu.Unlock()
		return false
	}
	if c.opening == nil {
		c.opening = make(chan struct{})
	}
	ended := c.opening
	c.mu.Unlock()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told
}

// release removes the connection when both its carrier and its application have finished.
// Until then its token remains known, and requests for it are answered 404 without a text, as
// in ASP.NET Core while a method still runs.
func (c *Connection) release() {
	c.mu.Lock()
	done := c.state == disposing && c.told
	if done {
		c.state = gone
		c.registry.forgo(c.request)
	}
	kind, opened := c.kind, c.opened
	c.mu.Unlock()
	if !done {
		return
	}
	defer c.registry.remove(c)
	if kind != "" {
		if c.registry.logsDebug() {
			c.logEnded(kind, opened)
		}
		c.Tell(transports.Event{Kind: transports.Ended})
		defer c.registry.contain("Meter")
		c.registry.options.Meter.Ended(kind, time.Since(opened), context.Cause(c.ctx))
	}
}
