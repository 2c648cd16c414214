package hub

import (
	"sync/atomic"

	"github.com/carillon-go/carillon/internal/notify"
)

// Holder is implemented by a Connection that counts the bytes a session keeps for it
// together with the bytes in the queues of all connections.
type Holder interface {
	// Hold adds n bytes to the count; n may be negative. It reports whether all
	// connections together hold so much that a session which already keeps something must
	// not keep more.
	Hold(n int) (full bool)
	// Room returns the number of bytes that may currently wait to be sent to the client.
	Room() int
}

// hold calls the connection's Hold. A connection that is not a Holder is never full.
func hold(c Connection, n int) (full bool) {
	holder, ok := c.(Holder)
	return ok && holder.Hold(n)
}

// normalAllowance is the allowance of a Connection that is not a Holder.
const normalAllowance = 1 << 20

// unacknowledgedAllowance returns the number of unacknowledged bytes that messages sent
// without waiting may leave at a client. It is half of the bytes that may wait in the
// client's queue, because these messages wait there again when they are repeated.
func unacknowledgedAllowance(c Connection) int {
	if holder, ok := c.(Holder); ok {
		return holder.Room() / 2
	}
	return normalAllowance
}

// maxUploaded is the limit in bytes of buffered items in all uploads of a client. At the
// limit the reader stops. Decoded items may be several times as large.
const maxUploaded = 1 << 20

// uploadBudget limits the items of the uploads of a session that are buffered for its methods
// before nothing more is read from the client.
type uploadBudget struct {
	out   *outbox
	items int           // of one upload
	held  atomic.Int64  // bytes in all uploads
	freed notify.Signal // items were taken from one of the uploads
}

// add counts n bytes of received items, or -n bytes of items that were taken.
func (b *uploadBudget) add(n int) {
	b.held.Add(int64(n))
	hold(b.out.conn, n)
	if n < 0 {
		b.freed.Notify()
	}
}

// isFull reports whether an upload with a number of buffered items must not buffer more. With
// stateful reconnect, acknowledgements that methods wait for may follow the items. So reading
// stops only at maxUploaded bytes.
func (b *uploadBudget) isFull(items int) bool {
	return b.held.Load() > maxUploaded || b.out.buffer == nil && (items > b.items || hold(b.out.conn, 0))
}
