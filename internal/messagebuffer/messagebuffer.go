// Package messagebuffer is the state of stateful reconnect at one end of a connection: the
// sent messages that the other end has not acknowledged, and the numbers of the received
// ones. It decides neither when to wait for room nor when to send an acknowledgement.
package messagebuffer

import "github.com/carillon-go/carillon/protocol"

// IsNumbered reports whether messages of type t are numbered. Such messages are numbered
// from 1 in each direction. Other messages are neither numbered nor kept.
func IsNumbered(t protocol.MessageType) bool {
	return protocol.Invocation <= t && t <= protocol.CancelInvocation
}

// Message is an encoded message with its length in bytes.
type Message interface{ Len() int }

// Buffer is the state of one end of a connection. The caller's lock guards it.
type Buffer[M Message] struct {
	kept  []M
	array []M   // the memory of kept, which is its end; the length is 0
	first int64 // the number of the first kept message, or of the next one
	bytes int   // of the kept messages that are not spare
	probe bool  // one message may exceed the limit

	spare, spareBytes int // acknowledged messages at the beginning of kept

	next  int64 // the number of the next message to be received
	seen  int64 // the highest number that was received
	acked int64 // the number of the last acknowledgement that was sent
}

// New returns the buffer of a new connection.
func New[M Message]() *Buffer[M] { return &Buffer[M]{first: 1, next: 1, seen: -1, acked: -1} }

// Keep numbers a message to be sent and keeps it until it is acknowledged.
func (b *Buffer[M]) Keep(m M) {
	full := len(b.kept) == cap(b.kept)
	b.kept = append(b.kept, m)
	if full {
		b.array = b.kept[:0]
	}
	b.bytes += m.Len()
	b.probe = false
}

// IsBelow reports whether fewer than limit bytes are unacknowledged; 0 or less means no
// limit. As in the original, one message may exceed it.
func (b *Buffer[M]) IsBelow(limit int) bool { return limit <= 0 || b.bytes < limit }

// IsProbing reports whether one more message may exceed the limit, after Resume: the last
// acknowledgement of the other end may be lost, and the official implementations send
// another one only after a message that is new to them. Otherwise a full buffer would stay
// full forever.
func (b *Buffer[M]) IsProbing() bool { return b.probe }

// First returns the number of the first kept message, or of the next one.
func (b *Buffer[M]) First() int64 { return b.first }

// Last returns the number of the last message to be sent.
func (b *Buffer[M]) Last() int64 { return b.first + int64(len(b.kept)) - 1 }

// Kept returns the kept messages, the spare ones first. The slice is valid until the next
// call of Keep or Drop.
func (b *Buffer[M]) Kept() []M { return b.kept }

// Unacknowledged returns the number of kept messages that are not spare, and their length.
func (b *Buffer[M]) Unacknowledged() (messages, bytes int) { return len(b.kept) - b.spare, b.bytes }

// Spare returns the number of spare messages, and their length.
func (b *Buffer[M]) Spare() (messages, bytes int) { return b.spare, b.spareBytes }

// Covered returns how many kept messages have a number of at most number.
func (b *Buffer[M]) Covered(number int64) int {
	return int(max(min(number, b.Last()), b.first-1) - (b.first - 1))
}

// SetAside makes the first n messages spare: they stay kept and no longer count as
// unacknowledged.
func (b *Buffer[M]) SetAside(n int) {
	for ; b.spare < n; b.spare++ {
		size := b.kept[b.spare].Len()
		b.bytes -= size
		b.spareBytes += size
	}
}

// Drop removes the first n messages and returns their length.
func (b *Buffer[M]) Drop(n int) (freed int) {
	for i, m := range b.kept[:n] {
		freed += m.Len()
		if i < b.spare {
			b.spareBytes -= m.Len()
		} else {
			b.bytes -= m.Len()
		}
	}
	b.shift(n)
	b.first += int64(n)
	b.spare = max(0, b.spare-n)
	return freed
}

// maxIdle is the largest number of messages that an empty buffer keeps memory for.
const maxIdle = 256

// shift removes the first n messages from kept. The other end may acknowledge many messages
// one by one, so the remaining ones move to the beginning of the memory only when at least
// half of it is free.
func (b *Buffer[M]) shift(n int) {
	clear(b.kept[:n])
	b.kept = b.kept[n:]
	switch free := cap(b.array) - cap(b.kept); {
	case len(b.kept) == 0 && cap(b.array) > maxIdle:
		b.kept, b.array = nil, nil
	case free >= len(b.kept):
		moved := b.array[:copy(b.array[:cap(b.array)], b.kept)]
		clear(b.kept)
		b.kept = moved
	}
}

// Resume prepares for another transport: the kept messages are sent again, and so are those
// of the other end.
func (b *Buffer[M]) Resume() {
	b.probe = true
	// The last transport may have broken while messages were repeated that were acknowledged
	// in the meantime.
	b.next = max(b.next, b.seen+1)
}
