package client

import (
	"context"
	"errors"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

const (
	// acknowledgeAfter is the longest time that a received message waits for its acknowledgement.
	acknowledgeAfter = time.Second
	// acknowledgeBytes is the number of received bytes that trigger an acknowledgement. Servers
	// stop sending at 100,000.
	acknowledgeBytes = 16 << 10
)

// messageBuffer is the state of an outbox that lets another carrier take over: the records that the
// server has not acknowledged, and the numbers of the received messages. Messages of the types 1 to
// 5 are numbered from 1 in each direction. Other messages are neither numbered nor kept. The
// outbox's lock guards it. A nil messageBuffer keeps nothing.
type messageBuffer struct {
	limit        int
	expectAnswer func() (done func()) // while a sender waits for an acknowledgement, reading must go on
	records      [][]byte
	bytes        int
	first        int64 // the number of the first kept record, or of the next one
	probe        bool  // one record may exceed the limit

	next    int64 // the number of the next numbered message to be received
	seen    int64 // the highest number that was handled
	acked   int64
	unacked int // bytes of messages since the last acknowledgement
	// acknowledge is the function of timer.
	acknowledge func()
	timer       *time.Timer
}

// makeStateful lets the session survive its carrier.
func (s *session) makeStateful(t target) {
	s.out.buffer = &messageBuffer{
		limit: s.options.StatefulBufferSize, expectAnswer: s.run.budget.expectAnswer, first: 1, next: 1,
		acknowledge: func() { s.out.acknowledgeNow(s.protocol) },
	}
	s.reopen = func(ctx context.Context) (carrier, error) {
		t.resumed++
		reached, _ := s.out.progress()
		t.received = reached.received
		return s.run.connector().openCarrier(ctx, t, s.transport, s.options.TransportTimeout)
	}
}

func isCounted(t protocol.MessageType) bool {
	return protocol.Invocation <= t && t <= protocol.CancelInvocation
}

func (k *messageBuffer) keep(record []byte) {
	if k == nil {
		return
	}
	k.records = append(k.records, record)
	k.bytes += len(record)
	k.probe = false
}

// isFull reports whether the limit is reached. As in the official clients, one record may exceed
// it.
func (k *messageBuffer) isFull() bool { return k != nil && k.bytes >= k.limit && !k.probe }

// stop stops the timer: no more acknowledgements are sent.
func (k *messageBuffer) stop() {
	if k != nil && k.timer != nil {
		k.timer.Stop()
		k.timer = nil
	}
}

// scheduleAckLocked schedules an acknowledgement within acknowledgeAfter if one is due.
func (b *outbox) scheduleAckLocked() {
	k := b.buffer
	if k.timer == nil && k.seen > k.acked && b.closed == nil {
		k.timer = time.AfterFunc(acknowledgeAfter, k.acknowledge)
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
//
// The server's last acknowledgement may be lost, and some servers send another one only after a
// message that is new to them. So one message may exceed the limit; otherwise a full buffer would
// stay full forever.
func (b *outbox) resume(c carrier) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.buffer
	b.carrier, b.away, b.awaitingReplay, k.probe = c, false, true, true
	// The last carrier may have broken while the server repeated messages that were acknowledged in
	// the meantime.
	k.next = max(k.next, k.seen+1)
	b.notifyRoomLocked()
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
	b.pushLocked(p.AppendSequence(nil, b.buffer.first))
	if b.buffer.seen > 0 && b.closed == nil {
		b.acknowledgeLocked(p)
	}
	for _, record := range b.buffer.records {
		b.pushLocked(record)
	}
	if b.last != nil {
		b.pushLocked(b.last)
	}
	b.signal()
}

// progress holds the numbers that both directions of a stateful session have reached.
type progress struct{ received, acknowledged int64 }

// progress returns the progress, and whether messages wait for the server's acknowledgement.
func (b *outbox) progress() (p progress, waiting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return progress{b.buffer.seen, b.buffer.first}, len(b.buffer.records) > 0
}

// acknowledged drops the messages that the server has received.
func (b *outbox) acknowledged(number int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.buffer
	if k == nil {
		return
	}
	if number < k.first {
		return
	}
	n := min(number-k.first, int64(len(k.records))-1) + 1
	if n == 0 { // it acknowledges messages that were not sent
		return
	}
	for _, record := range k.records[:n] {
		k.bytes -= len(record)
	}
	k.records = append(k.records[:0], k.records[n:]...)
	clear(k.records[len(k.records):cap(k.records)])
	k.first += n
	b.notifyRoomLocked()
}

var (
	errSequence   = errors.New("client: the server's sequence number is ahead of the received messages")
	errNoSequence = errors.New("client: the server's sequence number is less than 0")
)

// sequence sets the number of the server's next message.
func (b *outbox) sequence(number int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.buffer
	switch {
	case k == nil:
		return nil
	case number < 0:
		return errNoSequence
	case number > k.next:
		return errSequence
	}
	k.next = number
	return nil
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
	n := k.next
	k.next++
	if n <= k.seen {
		return false
	}
	k.seen = n
	if k.unacked += size; k.unacked >= acknowledgeBytes && b.closed == nil && !b.away && !b.awaitingReplay {
		b.acknowledgeLocked(p)
	}
	b.scheduleAckLocked()
	return true
}

// acknowledgeNow is called by the timer.
func (b *outbox) acknowledgeNow(p protocol.HubProtocol) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buffer.timer = nil
	if b.closed == nil && !b.away && !b.awaitingReplay && b.buffer.seen > b.buffer.acked { // replay sends its own acknowledgement
		b.acknowledgeLocked(p)
	}
}

// acknowledgeLocked sends the server the highest number that was handled.
func (b *outbox) acknowledgeLocked(p protocol.HubProtocol) {
	b.buffer.stop()
	b.buffer.acked, b.buffer.unacked = b.buffer.seen, 0
	b.pushLocked(p.AppendAck(nil, b.buffer.seen))
}
