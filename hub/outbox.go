package hub

import (
	"context"

	"github.com/carillon-go/carillon/frame"
)

// outbox is the way of a session to its client: the connection, the protocol that the client
// has chosen, and the phase, which decides whether a frame is still sent.
type outbox struct {
	conn   Connection
	wire   *wire          // nil until the handshake
	buffer *messageBuffer // nil without stateful reconnect; set by the handshake
	phase  lifecycle
}

// send queues a frame and does not wait. If the client's queue is full, the connection is
// cut.
func (o *outbox) send(f *frame.Frame) {
	if o.phase.current() == closing {
		return
	}
	var err error
	if r := o.buffer; r != nil {
		err = r.send(f)
	} else {
		err = o.conn.Send(f)
	}
	if err != nil {
		o.abortSlow()
	}
}

// sendWait queues a frame and waits for room.
func (o *outbox) sendWait(ctx context.Context, f *frame.Frame) error {
	if o.phase.current() == closing {
		return errEnded
	}
	r := o.buffer
	if r == nil {
		return o.asEnded(o.conn.SendWait(ctx, f))
	}
	var err error
	if o.phase.Load() == connecting { // acknowledgements are read after OnConnected, so it must not wait for them
		err = r.send(f)
	} else {
		err = r.sendWait(ctx, f)
	}
	if err != nil && ctx.Err() == nil {
		o.abortSlow() // otherwise the client would wait forever for the missing frame
	}
	return o.asEnded(err)
}

// asEnded marks the error of a send if the connection has ended.
func (o *outbox) asEnded(err error) error {
	if err == nil || !o.hasEnded() {
		return err
	}
	return endedError{err}
}

// hasEnded reports whether the connection has ended.
func (o *outbox) hasEnded() bool { return o.conn.Context().Err() != nil }

// abortSlow cuts the connection of a slow client, unless the session is ending: then the
// queued frames must still be sent.
func (o *outbox) abortSlow() {
	if o.phase.Load() < finishing {
		o.conn.Abort(ErrSlowConsumer)
	}
}

// uncork is called before the reader waits for an event that may depend on the client.
func (o *outbox) uncork() {
	if c, ok := o.conn.(Uncorker); ok {
		c.Uncork()
	}
}

// record records an invocation of the client if the connection is a Recorder, unless the
// session is ending and does not send it.
func (o *outbox) record(method string, args []any) {
	if r, ok := o.conn.(Recorder); ok && o.phase.current() != closing {
		r.Record(method, args)
	}
}
