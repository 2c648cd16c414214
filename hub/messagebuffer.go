package hub

import (
	"context"
	"sync"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/protocol"
)

// Resumer is a Connection that can outlive its WebSocket. It does so until the
// handshake tells that this is not agreed.
type Resumer interface {
	Resume(agreed bool)
	// Received returns the number of the last message that the client says it has received, when it
	// resumes; 0 if it does not say. The number is not checked.
	Received() int64
}

// messageBuffer is what a session keeps for a client that may come back on another
// WebSocket: what it has not acknowledged, and how far it was heard. Messages of the
// types 1 to 5 are counted, from 1, each way; others are neither counted nor kept.
type messageBuffer struct {
	mu          sync.Mutex // held while something counted is queued: the order of numbers is that of sending
	kept        []*frame.Frame
	bytes       int   // of those that are not acknowledged
	first       int64 // the number of the first that is kept, or of the next one
	sent        int64 // the highest number that was queued
	spare       spare // the acknowledged ones at the beginning of kept
	closed      bool  // nothing is kept any more
	hold        func(n int) (full bool)
	away        bool          // there is no WebSocket
	probe       bool          // one message may exceed the limit
	acksStopped bool          // no acknowledgement is going to be read
	room        chan struct{} // closed when there may be room; nil: nobody waits

	// What comes in. The session's reader counts; the sweep acknowledges.
	next  int64 // the number of the next counted message
	seen  int64 // the highest number that was handled
	acked int64
}

func newMessageBuffer(hold func(n int) (full bool)) *messageBuffer {
	return &messageBuffer{first: 1, next: 1, seen: -1, acked: -1, hold: hold}
}

// maxFanOut is how much may be kept of what is sent without waiting, such as
// broadcasts, to a client that does not acknowledge. Beyond it the client is a slow
// consumer. What waits for room waits at Options.StatefulBufferSize.
const maxFanOut = 1 << 20

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
	r.kept = append(r.kept, f)
	r.bytes += f.Len()
	r.hold(f.Len())
	if !r.away {
		r.sent = r.lastLocked()
	}
	return nil
}

// lastLocked is the number of the last frame that is kept.
func (r *messageBuffer) lastLocked() int64 { return r.first + int64(len(r.kept)) - 1 }

// send keeps and queues a frame without waiting. One that may be dropped is left out
// before it is counted, if there is no room.
func (r *messageBuffer) send(c Connection, f *frame.Frame) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := ErrSlowConsumer
	if r.bytes <= maxFanOut && !r.isCrowdedLocked() {
		err = r.keepLocked(c, f)
	}
	if p := f.Delivery().Policy; p == DropNewest || p == DropOldest {
		return nil
	}
	return err
}

// sendWait keeps and queues a frame once less than limit bytes are kept, as the
// original does: the limit may be exceeded by one message.
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

// tryKeep keeps and queues a frame if there is room, and else returns what tells of it.
func (r *messageBuffer) tryKeep(c Connection, f *frame.Frame, limit int) (room <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	isRoom := limit <= 0 || r.bytes < limit || r.probe && r.bytes < maxFanOut
	if r.acksStopped || isRoom && !r.isCrowdedLocked() {
		r.probe = false
		return nil, r.keepLocked(c, f)
	}
	if r.room == nil {
		r.room = make(chan struct{})
	}
	return r.room, nil
}

// isCrowdedLocked reports whether nothing may be added to what is kept because too much waits in
// all connections together.
func (r *messageBuffer) isCrowdedLocked() bool {
	if len(r.kept) == 0 || !r.hold(0) {
		return false
	}
	r.dropLocked(r.spare.frames)
	return len(r.kept) > 0
}

// release forgets what is kept: the session has ended.
func (r *messageBuffer) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.dropLocked(len(r.kept))
	r.kept = nil
	r.notifyRoomLocked()
}

// notifyRoomLocked needs the lock.
func (r *messageBuffer) notifyRoomLocked() {
	if r.room != nil {
		close(r.room)
		r.room = nil
	}
}

// stopAcks lets go what waits for an acknowledgement: none is read any more.
func (r *messageBuffer) stopAcks() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.acksStopped = true
	r.notifyRoomLocked()
}

// interrupted notes that there is no WebSocket.
func (r *messageBuffer) interrupted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = true
}

// resumed sends on the new WebSocket first the number of what comes, then what was
// not acknowledged, then what is new. A client that says how much it has received gets
// nothing twice, so that connections that break soon carry it forward.
//
// The client's acknowledgement may have been lost with the old WebSocket, and the
// official clients send another only after a message that is new to them. So one may
// exceed the limit: without it a full buffer would stay full for ever.
func (r *messageBuffer) resumed(c Connection, w *wire, received int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away, r.probe = false, true
	// The last one may have broken while it brought once more what was acknowledged meanwhile.
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
	// The acknowledgement before the break may be lost. Without one now, a client whose sockets break
	// more often than the sweep runs sends the same messages again and again.
	if r.seen > 0 && c.Send(w.frame(w.AppendAck(nil, r.seen))) == nil {
		r.acked = r.seen
	}
	for _, f := range r.kept {
		if c.Send(f) != nil { // more is kept than may be queued, and none may be left out
			c.Abort(ErrSlowConsumer)
			return
		}
	}
}

var (
	// errSequence has the words of the original.
	errSequence = &protocol.Fault{
		Exception: "InvalidOperationException",
		Message:   "Sequence ID greater than amount of messages we've received.",
	}
	// errNoSequence is our own: after a negative number the original drops all that follows as duplicates.
	errNoSequence = &protocol.Fault{
		Exception: "InvalidOperationException",
		Message:   "Sequence ID less than 0.",
	}
)

// sequence notes the number of what the client sends next. Numbers begin with 1; 0 is taken, as by the original.
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
	if number <= r.acked { // which was lost with the old WebSocket, and the client may wait for it
		r.acked = number - 1
	}
	return nil
}

// isNew counts a message; false: it was handled before the WebSocket broke.
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

// acknowledge tells the client how far it was heard, if there is news.
func (r *messageBuffer) acknowledge(c Connection, w *wire) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away || r.seen == r.acked {
		return
	}
	if c.Send(w.frame(w.AppendAck(nil, r.seen))) == nil { // else there is no room for it yet
		r.acked = r.seen
	}
}

// acceptStatefulReconnect turns the counting on if both sides agreed on it: the negotiation,
// and version 2 in the handshake.
func (s *Session) acceptStatefulReconnect(version int) {
	c, ok := s.conn.(Resumer)
	if !ok || !s.info.StatefulReconnect {
		return
	}
	agreed := version >= protocol.MaxVersion
	if agreed {
		s.buffer = newMessageBuffer(s.hold)
	}
	c.Resume(agreed)
}

// Interrupted notes that the connection lost its WebSocket and waits for another. Half
// a message that was received is forgotten, as is all that waits for OnConnected: the
// client sends again what was not acknowledged.
func (s *Session) Interrupted() {
	s.forgetInput()
	s.setBusy(true) // it cannot say anything
	if s.buffer != nil {
		s.buffer.interrupted()
	}
}

// Resumed notes that another WebSocket took the place of the last one. The
// connection's queue is empty and nothing is read before it returns.
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
