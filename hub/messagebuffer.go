package hub

import (
	"context"
	"sync"

	"github.com/carillon-go/carillon/frame"
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

// messageBuffer is the state of a session with stateful reconnect: the frames that the
// client has not acknowledged, and the numbers of the received messages. Messages of the
// types 1 to 5 are numbered from 1 in each direction. Other messages are neither numbered
// nor kept.
type messageBuffer struct {
	mu          sync.Mutex // held while a numbered frame is queued, so that frames are sent in the order of numbers
	kept        []*frame.Frame
	array       []*frame.Frame // the memory of kept, which is its end; the length is 0
	bytes       int            // of the unacknowledged frames
	first       int64          // the number of the first kept frame, or of the next one
	sent        int64          // the highest number that was queued
	spare       spare          // the acknowledged frames at the beginning of kept
	closed      bool           // nothing more is kept
	hold        func(n int) (full bool)
	allowance   func() int    // see Session.unacknowledgedAllowance
	away        bool          // the WebSocket is lost
	probe       bool          // one message may exceed the limit
	acksStopped bool          // no more acknowledgements will be read
	room        chan struct{} // closed when there may be room; nil: no waiter

	// Received messages. The session's reader numbers them; the sweep acknowledges them.
	next  int64 // the number of the next numbered message
	seen  int64 // the highest number that was handled
	acked int64
}

func newMessageBuffer(s *Session) *messageBuffer {
	return &messageBuffer{first: 1, next: 1, seen: -1, acked: -1, hold: s.hold, allowance: s.unacknowledgedAllowance}
}

// maxUnacknowledged is the number of messages that may be kept for a client, however
// short they are.
const maxUnacknowledged = 1 << 16

// hasFanOutRoomLocked reports whether one more message that is sent without waiting, such
// as a broadcast, may be kept. A client without room is a slow consumer. Senders that
// wait do so at Options.StatefulBufferSize.
func (r *messageBuffer) hasFanOutRoomLocked() bool {
	return len(r.kept)-r.spare.frames < maxUnacknowledged && r.bytes <= r.allowance()
}

// keepLocked keeps a frame and queues it, unless the client is away.
func (r *messageBuffer) keepLocked(c Connection, f *frame.Frame) error {
	if r.closed {
		return errEnded
	}
	if !r.away {
		if err := c.Send(f); err != nil {
			return err
		}
	}
	r.appendLocked(f)
	r.bytes += f.Len()
	r.hold(f.Len())
	if !r.away {
		r.sent = r.lastLocked()
	}
	return nil
}

// lastLocked returns the number of the last kept frame.
func (r *messageBuffer) lastLocked() int64 { return r.first + int64(len(r.kept)) - 1 }

// send keeps and queues a frame and does not wait. If there is no room, a frame that may
// be dropped is dropped before it gets a number.
func (r *messageBuffer) send(c Connection, f *frame.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := ErrSlowConsumer
	if r.hasFanOutRoomLocked() && !r.isCrowdedLocked() {
		err = r.keepLocked(c, f)
	}
	if p := f.Delivery().Policy; p == DropNewest || p == DropOldest {
		return nil
	}
	return err
}

// sendWait waits until fewer than limit bytes are kept, then keeps and queues a frame. As
// in the original, one message may exceed the limit.
func (r *messageBuffer) sendWait(ctx context.Context, c Connection, f *frame.Frame, limit int) error {
	for {
		room, err := r.tryKeep(c, f, limit)
		if room == nil {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.Context().Done():
			return errEnded
		}
	}
}

// tryKeep keeps and queues a frame if there is room. Otherwise it returns a channel that
// is closed when there may be room.
func (r *messageBuffer) tryKeep(c Connection, f *frame.Frame, limit int) (room <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	isRoom := limit <= 0 || r.bytes < limit || r.probe && r.hasFanOutRoomLocked()
	if r.acksStopped || isRoom && !r.isCrowdedLocked() {
		r.probe = false
		return nil, r.keepLocked(c, f)
	}
	if r.room == nil {
		r.room = make(chan struct{})
	}
	return r.room, nil
}

// isCrowdedLocked reports whether no frame may be added because all connections together
// hold too much.
func (r *messageBuffer) isCrowdedLocked() bool {
	if len(r.kept) == 0 || !r.hold(0) {
		return false
	}
	r.dropLocked(r.spare.frames)
	return len(r.kept) > 0
}

// release drops the kept frames after the session has ended.
func (r *messageBuffer) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.dropLocked(len(r.kept))
	r.kept, r.array = nil, nil
	r.notifyRoomLocked()
}

// notifyRoomLocked wakes the senders that wait for room.
func (r *messageBuffer) notifyRoomLocked() {
	if r.room != nil {
		close(r.room)
		r.room = nil
	}
}

// stopAcks lets senders pass that wait for an acknowledgement, because no more are read.
func (r *messageBuffer) stopAcks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acksStopped = true
	r.notifyRoomLocked()
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
//
// The client's acknowledgement may have been lost with the old WebSocket, and the
// official clients send another one only after a message that is new to them. So one
// message may exceed the limit; otherwise a full buffer would stay full forever.
func (r *messageBuffer) resumed(c Connection, w *wire, received int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away, r.probe = false, true
	// The last WebSocket may have broken while the client repeated messages that were
	// acknowledged in the meantime.
	r.next = max(r.next, r.seen+1)
	r.notifyRoomLocked()
	r.resumeSpareLocked()
	if n := min(received, r.sent) - r.first + 1; received > 0 && n > 0 {
		r.dropLocked(int(n))
	}
	if c.Send(w.frame(w.AppendSequence(nil, r.first))) != nil {
		return
	}
	r.sent = r.lastLocked()
	// The acknowledgement before the break may be lost. Without a new one, a client with
	// sockets that break more often than the sweep runs repeats the same messages again
	// and again.
	if r.seen > 0 && c.Send(w.frame(w.AppendAck(nil, r.seen))) == nil {
		r.acked = r.seen
	}
	for _, f := range r.kept {
		if c.Send(f) != nil { // more is kept than may be queued, and no frame may be skipped
			c.Abort(ErrSlowConsumer)
			return
		}
	}
}

var (
	// errSequence has the text of the original.
	errSequence = &protocol.Fault{
		Exception: "InvalidOperationException",
		Message:   "Sequence ID greater than amount of messages we've received.",
	}
	// errNoSequence is our own: after a negative number the original drops all later
	// messages as duplicates.
	errNoSequence = &protocol.Fault{
		Exception: "InvalidOperationException",
		Message:   "Sequence ID less than 0.",
	}
)

// sequence sets the number of the client's next message. Numbers begin with 1; 0 is
// accepted, as in the original.
func (r *messageBuffer) sequence(number int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case number < 0:
		return errNoSequence
	case number > r.next:
		return errSequence
	}
	r.next = number
	if number <= r.acked { // the acknowledgement was lost with the old WebSocket, and the client may wait for it
		r.acked = number - 1
	}
	return nil
}

// isNew numbers a message. It returns false for a message that was handled before the
// WebSocket broke.
func (r *messageBuffer) isNew(t protocol.MessageType) bool {
	if t < protocol.Invocation || t > protocol.CancelInvocation {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.next
	r.next++
	if n <= r.seen {
		return false
	}
	r.seen = n
	return true
}

// acknowledge sends the client the highest handled number if it has changed.
func (r *messageBuffer) acknowledge(c Connection, w *wire) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away || r.seen == r.acked {
		return
	}
	if c.Send(w.frame(w.AppendAck(nil, r.seen))) == nil { // otherwise the queue is full, and the sweep tries again
		r.acked = r.seen
	}
}

// acceptStatefulReconnect turns stateful reconnect on if both sides agreed on it, in the
// negotiation and with version 2 in the handshake.
func (s *Session) acceptStatefulReconnect(version int) {
	c, ok := s.conn.(Resumer)
	if !ok || !s.info.StatefulReconnect {
		return
	}
	agreed := version >= protocol.MaxVersion
	if agreed {
		s.buffer = newMessageBuffer(s)
	}
	c.Resume(agreed)
}

// Interrupted records that the connection has lost its WebSocket and waits for another. A
// partly received message and all messages that wait for OnConnected are discarded: the
// client repeats all messages that were not acknowledged.
func (s *Session) Interrupted() {
	s.forgetInput()
	s.setBusy(true) // the client cannot send
	if s.buffer != nil {
		s.buffer.interrupted()
	}
}

// Resumed records that another WebSocket has replaced the last one. The connection's
// queue is empty, and nothing is read before Resumed returns.
func (s *Session) Resumed() {
	s.forgetInput()
	s.setBusy(false)
	if s.buffer != nil && s.phase.Load() != closing {
		s.buffer.resumed(s.conn, s.wire, s.conn.(Resumer).Received())
	}
}

func (s *Session) forgetInput() {
	s.input.mu.Lock()
	defer s.input.mu.Unlock()
	s.clearInput()
}
