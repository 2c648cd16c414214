package client

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/internal/messagebuffer"
	"github.com/carillon-go/carillon/protocol"
)

const (
	// acknowledgeAfter is the longest time that a received message waits for its acknowledgement.
	acknowledgeAfter = time.Second
	// acknowledgeBytes is the number of received bytes that trigger an acknowledgement. Servers
	// stop sending at 100,000.
	acknowledgeBytes = 16 << 10
)

// sentRecord is an encoded message.
type sentRecord []byte

// Len returns the length in bytes.
func (r sentRecord) Len() int { return len(r) }

// messageBuffer is the state of an outbox that lets another carrier take over. The outbox's lock
// guards it. A nil messageBuffer keeps nothing.
type messageBuffer struct {
	messages     *messagebuffer.Buffer[sentRecord]
	limit        int
	expectAnswer func() (done func()) // while a sender waits for an acknowledgement, reading must go on

	unacked int // received bytes since the last acknowledgement
	// acknowledge is the function of timer.
	acknowledge func()
	timer       *time.Timer
}

// makeStateful lets the session survive its carrier.
func (s *session) makeStateful(t target) {
	s.out.buffer = &messageBuffer{
		messages: messagebuffer.New[sentRecord](), limit: s.options.StatefulBufferSize, expectAnswer: s.run.budget.expectAnswer,
		acknowledge: func() { s.out.acknowledgeNow(s.protocol) },
	}
	s.reopen = func(ctx context.Context) (carrier, error) {
		t.resumed++
		reached, _ := s.out.progress()
		t.received = max(0, reached.received)
		return s.run.openCarrier(ctx, t, s.transport, s.options.TransportTimeout)
	}
}

func (k *messageBuffer) isFull() bool {
	return k != nil && !k.messages.IsBelow(k.limit) && !k.messages.IsProbing()
}

// stop stops the timer: no more acknowledgements are sent.
func (k *messageBuffer) stop() {
	if k != nil && k.timer != nil {
		k.timer.Stop()
		k.timer = nil
	}
}

// current returns the current carrier.
func (b *outbox) current() carrier {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.carrier
}

// isStale reports whether c is broken.
func (b *outbox) isStale(c carrier) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.away || b.carrier != c
}

// interrupt keeps new messages until there is another carrier, if c is the current one.
func (b *outbox) interrupt(c carrier) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.carrier == c && !b.away {
		b.away, b.awaitingReplay = true, false
		b.records, b.bytes = nil, 0
	}
}

// resume makes c the carrier. Messages wait for replay.
func (b *outbox) resume(c carrier) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.carrier, b.away, b.awaitingReplay = c, false, true
	b.buffer.messages.Resume()
	b.room.Open()
}

// replay sends the number of the next message, an acknowledgement, because the last one may be lost
// with the broken carrier, and the unacknowledged messages. The caller has already handled the
// first data of the server on the new carrier, which may acknowledge some of them: otherwise
// carriers that break after some bytes would carry the same messages again and again.
func (b *outbox) replay(p protocol.HubProtocol) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.awaitingReplay {
		return
	}
	b.awaitingReplay, b.batchLimit = false, firstBatch
	messages := b.buffer.messages
	b.pushLocked(p.AppendSequence(nil, messages.First()))
	if messages.Received() > 0 && b.closed == nil {
		b.acknowledgeLocked(p)
	}
	for _, record := range messages.Kept() {
		b.pushLocked(record)
	}
	if b.last != nil {
		b.pushLocked(b.last)
	}
	b.filled.Notify()
}

// progress holds the numbers that both directions of a stateful session have reached.
type progress struct{ received, acknowledged int64 }

// progress returns the progress, and whether messages wait for the server's acknowledgement.
func (b *outbox) progress() (p progress, waiting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	messages := b.buffer.messages
	return progress{messages.Received(), messages.First()}, len(messages.Kept()) > 0
}

// acknowledged drops the messages that the server has received.
func (b *outbox) acknowledged(number int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buffer == nil {
		return
	}
	if n := b.buffer.messages.Covered(number); n > 0 {
		b.buffer.messages.Drop(n)
		b.room.Open()
	}
}

// sequence sets the number of the server's next message.
func (b *outbox) sequence(number int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buffer == nil {
		return nil
	}
	return b.buffer.messages.Sequence(number)
}

// isNew numbers a received message of size bytes. It returns false if the message was handled
// before the last carrier broke.
func (b *outbox) isNew(size int, p protocol.HubProtocol) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.buffer
	if k == nil {
		return true
	}
	if !k.messages.IsNew() {
		return false
	}
	if k.unacked += size; k.unacked >= acknowledgeBytes && b.closed == nil && !b.away && !b.awaitingReplay {
		b.acknowledgeLocked(p)
	}
	if k.timer == nil && k.messages.IsAckDue() && b.closed == nil {
		k.timer = time.AfterFunc(acknowledgeAfter, k.acknowledge)
	}
	return true
}

// acknowledgeNow is called by the timer.
func (b *outbox) acknowledgeNow(p protocol.HubProtocol) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buffer.timer = nil
	if b.closed == nil && !b.away && !b.awaitingReplay && b.buffer.messages.IsAckDue() { // replay sends its own acknowledgement
		b.acknowledgeLocked(p)
	}
}

// acknowledgeLocked sends the server the highest number that was handled.
func (b *outbox) acknowledgeLocked(p protocol.HubProtocol) {
	b.buffer.stop()
	b.buffer.unacked = 0
	b.buffer.messages.Acknowledged()
	b.pushLocked(p.AppendAck(nil, b.buffer.messages.Received()))
}
