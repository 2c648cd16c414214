package hub

import (
	"context"
	"sync"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/messagebuffer"
	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/protocol"
)

// Resumer is implemented by a Connection that can outlive its WebSocket. It may do so
// until Resume(false) is called at the handshake.
type Resumer interface {
	// Resume reports whether both sides have agreed on stateful reconnect.
	Resume(agreed bool)
	// Received returns the number of the last message that the client reports as received
	// when it resumes, or 0 if it reports none. The number is not checked.
	Received() int64
}

// messageBuffer is the state of a session with stateful reconnect.
type messageBuffer struct {
	mu          sync.Mutex // held while a numbered frame is queued, so that frames are sent in the order of numbers
	messages    *messagebuffer.Buffer[*frame.Frame]
	sent        int64 // the highest number that was queued
	spare       spare // describes the acknowledged frames in messages
	closed      bool  // nothing more is kept
	conn        Connection
	wire        *wire
	limit       int         // Options.StatefulBufferSize
	away        bool        // the WebSocket is lost
	acksStopped bool        // no more acknowledgements will be read
	room        notify.Gate // opens when there may be room
}

// maxUnacknowledged is the number of messages that may be kept for a client, however
// short they are.
const maxUnacknowledged = 1 << 16

// hasFanOutRoomLocked reports whether one more message that is sent without waiting, such
// as a broadcast, may be kept. A client without room is a slow consumer. Senders that
// wait do so at Options.StatefulBufferSize.
func (r *messageBuffer) hasFanOutRoomLocked() bool {
	n, bytes := r.messages.Unacknowledged()
	return n < maxUnacknowledged && bytes <= unacknowledgedAllowance(r.conn)
}

// keepLocked keeps a frame and queues it, unless the client is away.
func (r *messageBuffer) keepLocked(f *frame.Frame) error {
	if r.closed {
		return errEnded
	}
	if !r.away {
		if err := r.conn.Send(f); err != nil {
			return err
		}
	}
	r.messages.Keep(f)
	hold(r.conn, f.Len())
	if !r.away {
		r.sent = r.messages.Last()
	}
	return nil
}

// send keeps and queues a frame and does not wait. If there is no room, a frame that may
// be dropped is dropped before it gets a number.
func (r *messageBuffer) send(f *frame.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := ErrSlowConsumer
	if r.hasFanOutRoomLocked() && !r.isCrowdedLocked() {
		err = r.keepLocked(f)
	}
	if p := f.Delivery().Policy; p == DropNewest || p == DropOldest {
		return nil
	}
	return err
}

// sendWait waits until fewer bytes than the limit are kept, then keeps and queues a frame. As
// in the original, one message may exceed the limit.
func (r *messageBuffer) sendWait(ctx context.Context, f *frame.Frame) error {
	for {
		room, err := r.tryKeep(f)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.conn.Context().Done():
			return errEnded
		}
	}
}

// tryKeep keeps and queues a frame if there is room. Otherwise it returns a channel that
// is closed when there may be room.
func (r *messageBuffer) tryKeep(f *frame.Frame) (room <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	isRoom := r.messages.IsBelow(r.limit) || r.messages.IsProbing() && r.hasFanOutRoomLocked()
	if r.acksStopped || isRoom && !r.isCrowdedLocked() {
		return nil, r.keepLocked(f)
	}
	return r.room.Wait(), nil
}

// isCrowdedLocked reports whether no frame may be added because all connections together
// hold too much.
func (r *messageBuffer) isCrowdedLocked() bool {
	if len(r.messages.Kept()) == 0 || !hold(r.conn, 0) {
		return false
	}
	r.dropSpareLocked()
	return len(r.messages.Kept()) > 0
}

// release drops the kept frames after the session has ended.
func (r *messageBuffer) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.dropLocked(len(r.messages.Kept()))
	r.room.Open()
}

// stopAcks lets senders pass that wait for an acknowledgement, because no more are read.
func (r *messageBuffer) stopAcks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acksStopped = true
	r.room.Open()
}

// interrupted records that the WebSocket is lost.
func (r *messageBuffer) interrupted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = true
}

// resumed sends on the new WebSocket: first the number of the next frame, then the
// unacknowledged frames. New frames follow. A client that reports the number it has
// received gets no frame twice, so that it makes progress even over connections that
// break soon.
func (r *messageBuffer) resumed(received int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = false
	r.messages.Resume()
	r.room.Open()
	r.resumeSpareLocked()
	r.dropLocked(r.messages.Covered(min(received, r.sent)))
	if r.conn.Send(r.wire.frame(r.wire.AppendSequence(nil, r.messages.First()))) != nil {
		return
	}
	r.sent = r.messages.Last()
	// The acknowledgement before the break may be lost. Without a new one, a client with
	// sockets that break more often than the sweep runs repeats the same messages again
	// and again.
	if r.messages.Received() > 0 {
		r.sendAckLocked()
	}
	for _, f := range r.messages.Kept() {
		if r.conn.Send(f) != nil { // more is kept than may be queued, and no frame may be skipped
			r.conn.Abort(ErrSlowConsumer)
			return
		}
	}
}

// sequence sets the number of the client's next message.
func (r *messageBuffer) sequence(number int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages.Sequence(number)
}

// isNew numbers a message. It returns false for a message that was handled before the
// WebSocket broke.
func (r *messageBuffer) isNew(t protocol.MessageType) bool {
	if !messagebuffer.IsNumbered(t) {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.messages.IsNew()
}

// acknowledge sends the client the highest handled number if it has changed.
func (r *messageBuffer) acknowledge() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.away && r.messages.IsAckDue() {
		r.sendAckLocked()
	}
}

// sendAckLocked sends an acknowledgement. If the queue is full, the sweep tries again.
func (r *messageBuffer) sendAckLocked() {
	if r.conn.Send(r.wire.frame(r.wire.AppendAck(nil, r.messages.Received()))) == nil {
		r.messages.Acknowledged()
	}
}

// acceptStatefulReconnect turns stateful reconnect on if both sides agreed on it, in the
// negotiation and with version 2 in the handshake.
func (o *outbox) acceptStatefulReconnect(version int, w *wire, limit int) {
	c, ok := o.conn.(Resumer)
	if !ok {
		return
	}
	agreed := version >= protocol.MaxVersion
	if agreed {
		o.buffer = &messageBuffer{conn: o.conn, wire: w, limit: limit, messages: messagebuffer.New[*frame.Frame]()}
	}
	c.Resume(agreed)
}

// Interrupted records that the connection has lost its WebSocket and waits for another. A
// partly received message and all messages that wait for OnConnected are discarded: the
// client repeats all messages that were not acknowledged.
func (s *Session) Interrupted() {
	s.input.forget()
	s.liveness.setBusy(true, s.caller.begun) // the client cannot send
	if s.out.buffer != nil {
		s.out.buffer.interrupted()
	}
}

// Resumed records that another WebSocket has replaced the last one. The connection's
// queue is empty, and nothing is read before Resumed returns.
func (s *Session) Resumed() {
	s.input.forget()
	s.liveness.setBusy(false, s.caller.begun)
	if s.out.buffer != nil && s.out.phase.Load() != closing {
		s.out.buffer.resumed(s.out.conn.(Resumer).Received())
	}
}
