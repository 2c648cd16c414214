package client

import (
	"context"
	"sync"

	"github.com/carillon-go/carillon/internal/notify"
)

const (
	// maxOutbox is the number of bytes in the outbox at which senders wait.
	maxOutbox = mebibyte
	// maxBatch is the limit in bytes of several records that are sent in one frame or POST.
	maxBatch = 64 << 10
	// firstBatch is the limit after a resumption. It doubles with each batch. A POST that breaks
	// off has delivered nothing, and carriers that break early must deliver something.
	firstBatch = 1 << 10
)

// outbox is the queue of records to be sent, in order. It knows the current carrier.
type outbox struct {
	mu             sync.Mutex
	carrier        carrier
	away           bool           // the carrier is broken, and there is no new one
	awaitingReplay bool           // there is a carrier; messages wait for replay
	buffer         *messageBuffer // nil: sent records are not kept
	records        [][]byte
	bytes          int
	last           []byte        // a record that is sent after all others
	closed         error         // the reason for refusing records
	filled         notify.Signal // wakes the writer when it has work
	room           notify.Gate   // opens when there is room
	batch          []byte
	// batchLimit is the limit in bytes of several records in the next batch.
	batchLimit int
}

func newOutbox(c carrier) *outbox {
	return &outbox{carrier: c, filled: notify.NewSignal(), batchLimit: maxBatch}
}

// add appends a record and takes ownership of it, unless ctx has ended. It waits while the outbox
// is full.
func (b *outbox) add(ctx context.Context, record []byte) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		room, err := b.tryAdd(record)
		if room == nil {
			return err
		}
		if err := b.wait(ctx, room); err != nil {
			return err
		}
	}
}

func (b *outbox) wait(ctx context.Context, room <-chan struct{}) error {
	if b.buffer != nil {
		defer b.buffer.expectAnswer()()
	}
	return await(ctx, room)
}

// tryAdd adds a record. If the outbox is full, it returns a channel to wait for.
func (b *outbox) tryAdd(record []byte) (room <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed != nil {
		return nil, b.closed
	}
	if b.bytes >= maxOutbox || b.buffer.isFull() {
		return b.room.Wait(), nil
	}
	b.pushCountedLocked(record)
	return nil, nil
}

// pushCountedLocked keeps a record and sends it, unless replay will send it.
func (b *outbox) pushCountedLocked(record []byte) {
	if b.buffer != nil {
		b.buffer.messages.Keep(record)
	}
	if !b.away && !b.awaitingReplay {
		b.pushLocked(record)
	}
}

// addNow appends a small record even if the outbox is full: answers to received messages must not
// block the reader.
func (b *outbox) addNow(record []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed == nil {
		b.pushCountedLocked(record)
	}
}

// addControl appends a record without a number that belongs to the carrier: a handshake, a ping.
func (b *outbox) addControl(record []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed == nil && !b.away && !b.awaitingReplay {
		b.pushLocked(record)
	}
}

func (b *outbox) pushLocked(record []byte) {
	b.records = append(b.records, record)
	b.bytes += len(record)
	b.filled.Notify()
}

// close makes later records fail with err. Queued records are still sent, followed by last if it is
// not nil.
func (b *outbox) close(err error, last []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed != nil {
		return
	}
	if last != nil {
		b.last = last
		if !b.away && !b.awaitingReplay {
			b.pushLocked(last)
		}
	}
	b.closed = err
	b.buffer.stop()
	b.room.Open()
	b.filled.Notify()
}

// next waits for records and returns a batch of them with its carrier. It returns nil when the
// outbox is closed and empty, or ctx has ended. The bytes are valid until the next call.
func (b *outbox) next(ctx context.Context) (batch []byte, to carrier) {
	for {
		batch, to, done := b.take()
		if batch != nil || done {
			return batch, to
		}
		if await(ctx, b.filled) != nil {
			return nil, nil
		}
	}
}

func (b *outbox) take() (batch []byte, to carrier, done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.away {
		return nil, nil, false
	}
	if len(b.records) == 0 {
		return nil, nil, b.closed != nil && !b.awaitingReplay
	}
	if cap(b.batch) > 2*maxBatch {
		b.batch = nil // the memory of one long record must not be kept forever
	}
	b.batch = b.batch[:0]
	n := 0
	for n < len(b.records) && (n == 0 || len(b.batch)+len(b.records[n]) <= b.batchLimit) {
		b.batch = append(b.batch, b.records[n]...)
		b.records[n] = nil
		n++
	}
	b.batchLimit = min(2*b.batchLimit, maxBatch)
	b.records = b.records[n:]
	b.bytes -= len(b.batch)
	b.room.Open()
	return b.batch, b.carrier, false
}

func (b *outbox) isEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.records) == 0
}
