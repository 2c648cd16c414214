package messagebuffer

import "github.com/carillon-go/carillon/protocol"

var (
	// ErrAhead has the text of the original.
	ErrAhead = &protocol.Fault{
		Exception: "InvalidOperationException",
		Message:   "Sequence ID greater than amount of messages we've received.",
	}
	// ErrNegative is our own: after a negative number the original drops all later messages
	// as duplicates.
	ErrNegative = &protocol.Fault{
		Exception: "InvalidOperationException",
		Message:   "Sequence ID less than 0.",
	}
)

// Sequence sets the number of the next message to be received. Numbers begin with 1; 0 is
// accepted, as in the original. The error is ErrAhead or ErrNegative.
func (b *Buffer[M]) Sequence(number int64) error {
	switch {
	case number < 0:
		return ErrNegative
	case number > b.next:
		return ErrAhead
	}
	b.next = number
	if number <= b.acked { // the acknowledgement was lost with the old transport, and the sender may wait for it
		b.acked = number - 1
	}
	return nil
}

// IsNew numbers a received message. It returns false for a message that was received before
// the last transport broke.
func (b *Buffer[M]) IsNew() bool {
	n := b.next
	b.next++
	if n <= b.seen {
		return false
	}
	b.seen = n
	return true
}

// Received returns the number to acknowledge: the highest one that was received, 0 or less
// if there is none.
func (b *Buffer[M]) Received() int64 { return b.seen }

// IsAckDue reports whether Received has changed since the last acknowledgement.
func (b *Buffer[M]) IsAckDue() bool { return b.seen > b.acked }

// Acknowledged records that the other end was sent an acknowledgement of Received.
func (b *Buffer[M]) Acknowledged() { b.acked = b.seen }
