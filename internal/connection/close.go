package connection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// A connection ends in two halves. Close ends the half of the application: Disconnected is
// called, and the queue is still sent. end ends the half of the carrier. After both, the
// registry forgets the connection.

// Close implements transports.Connection.
func (c *Connection) Close(cause error) {
	c.mu.Lock()
	if !c.advance(closing) {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.changed.Open()
	c.wakeLocked()
	stranded := c.carrier == nil && c.resumable && c.kind != transports.LongPolling && !c.left.IsZero()
	c.mu.Unlock()
	c.disconnect(cause)
	if stranded { // no client can return to receive the queue
		c.Finish(cause)
	}
}

// HangUp implements transports.Connection.
func (c *Connection) HangUp(cause error) {
	c.mu.Lock()
	c.hangsUp = true
	c.mu.Unlock()
	c.Close(cause)
}

// Abort implements transports.Connection. It drops the queue and cuts the carrier.
func (c *Connection) Abort(cause error) { c.end(cause, true, nil) }

// Finish ends the connection after its carrier has ended in order, or after the client has
// left.
func (c *Connection) Finish(cause error) { c.end(cause, false, nil) }

// Detach removes k after its request has ended with cause. A long-polling connection continues
// with the next poll, a stateful one with the next WebSocket or event stream. Any other
// connection ends.
func (c *Connection) Detach(k Carrier, cause error) {
	c.mu.Lock()
	if c.taker == k {
		c.taker = nil
	}
	if c.carrier != k || c.state >= ended {
		c.mu.Unlock()
		return
	}
	interrupted := c.resumable && c.state == open && (errors.Is(cause, transports.ErrCut) || c.kind == transports.ServerSentEvents)
	if c.kind != transports.LongPolling && !interrupted || c.leaving {
		c.mu.Unlock()
		c.Finish(cause)
		return
	}
	c.detachLocked()
	c.left = time.Now()
	c.mu.Unlock()
	if interrupted {
		c.registry.updateIdle(c)
		c.interrupt(k)
	}
}

// Abandon ends a claimed request that could not be served, because its client has left. A
// stateful connection waits for the next request, unless that has arrived.
func (c *Connection) Abandon(cause error) {
	c.ReleaseIdle() // first, so that Close knows that there is no request
	c.end(cause, false, func() bool { return c.carrier == nil && (!c.resumable || c.state != open) })
}

// ReleaseIdle ends a claimed request if no carrier is attached. From then on the sweep checks the
// connection.
func (c *Connection) ReleaseIdle() {
	c.mu.Lock()
	idle := c.carrier == nil && c.state < ended
	if idle {
		c.left = time.Now()
	}
	idle = idle && c.kind != transports.LongPolling // long polling is always in idle
	c.mu.Unlock()
	if idle {
		c.registry.updateIdle(c)
	}
}

// endByClient ends the connection at its client's request. The application may answer a
// pending poll with a final message.
func (c *Connection) endByClient() {
	c.mu.Lock()
	polled := c.carrier != nil && c.state == open
	c.leaving = true
	c.mu.Unlock()
	defer c.end(transports.ErrClientGone, true, func() bool { return c.carrier == nil || !c.isClosing() })
	if !polled {
		return
	}
	if closer, ok := c.closer(); ok {
		closer.Close(nil) // the client closed in order
	}
}

// endUnclaimed ends a connection that was created for one request, if that request has not
// claimed it.
func (c *Connection) endUnclaimed() {
	c.end(transports.ErrCut, false, func() bool { return c.kind == "" })
}

// end ends the carrier's half of the connection if condition, which is called under the lock,
// is nil or returns true. It drops the queue and the carrier, and cuts the carrier if cut is
// set. A second call does nothing.
func (c *Connection) end(cause error, cut bool, condition func() bool) {
	c.mu.Lock()
	closed := c.state >= closing
	if c.state >= ended || condition != nil && !condition() {
		c.mu.Unlock()
		return
	}
	c.advance(ended)
	c.changed.Open()
	carrier := c.detachLocked()
	c.left = time.Time{}
	c.dropQueueLocked()
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
	c.forgetIfOver()
}

// disconnect cancels the context and calls Disconnected. The receiver may be in a call now,
// perhaps in the call that led here, so a goroutine calls Disconnected. The registry waits
// for it.
func (c *Connection) disconnect(cause error) {
	c.credentials.close()
	c.cancel(cause)
	c.body.cutSlow(c.registry)
	c.registry.work.running.Go(func() {
		defer func() { // the application's half has ended
			c.mu.Lock()
			c.notified = true
			c.mu.Unlock()
			c.forgetIfOver()
		}()
		c.callDisconnected()
	})
}

// forgetIfOver removes the connection when both its halves have ended. Until then its token
// remains known, and requests for it are answered 404 without a text, as in ASP.NET Core
// while a method still runs.
func (c *Connection) forgetIfOver() {
	c.mu.Lock()
	over := c.state == ended && c.notified
	if over {
		c.advance(forgotten)
		c.registry.forgo(c.request.Load())
	}
	kind, age := c.kind, c.ageLocked()
	c.mu.Unlock()
	if !over {
		return
	}
	defer c.registry.remove(c)
	if kind != "" {
		if c.registry.logsDebug() {
			c.logTransport("transport ended", kind, slog.Float64("duration_s", age.Seconds()),
				slog.Int64("sent_bytes", c.SentBytes()), slog.String("cause", fmt.Sprint(context.Cause(c.ctx))))
		}
		c.Tell(transports.Event{Kind: transports.Ended})
		defer c.registry.contain("Meter")
		c.registry.options.Meter.Ended(kind, age, context.Cause(c.ctx))
	}
}

// rescue, deferred, ends this connection, and no other one, after a panic of the application
// or runtime.Goexit. returned states that there was neither.
func (c *Connection) rescue(returned *bool, err *error) {
	if *returned {
		return
	}
	p := recover()
	c.registry.logPanic("connection", p, slog.String("connection_id", c.LogName()))
	c.Abort(transports.ErrApplication)
	if err != nil {
		*err = transports.ErrApplication
	}
}
