package client

import (
	"context"
	"sync"
)

const (
	// maxOutbox is how many bytes may wait to be sent; who wants to send more waits.
	maxOutbox = mebibyte
	// maxBatch is how many bytes of several records are sent at once, in one frame or POST.
	maxBatch = 64 << 10
	// firstBatch is the limit behind a resumption. It doubles with each batch: a POST that breaks off
	// has carried nothing, and carriers that break soon need to carry something.
	firstBatch = 1 << 10
)

// outbox holds the records that wait to be sent, in order, and knows what carries them.
type outbox struct {
	mu             sync.Mutex
	carrier        carrier
	away           bool           // the carrier broke, and the next one is not there
	awaitingReplay bool           // the carrier is there; messages wait for replay
	buffer         *messageBuffer // nil: what was sent is forgotten
	records        [][]byte
	bytes          int
	last           []byte        // what was put behind everything else
	closed         error         // why nothing more is taken
	filled         chan struct{} // has a token when the writer has something to look at
	room           chan struct{} // closed and replaced when room is made; nil while nobody waits
	batch          []byte
	// batchLimit is how many bytes of several records the next batch may have.
	batchLimit int
}

func newOutbox(c carrier) *outbox {
	return &outbox{carrier: c, filled: make(chan struct{}, 1), batchLimit: maxBatch}
}

// add appends a record and takes it over, unless ctx has ended. It waits while the box is full.
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
	select {
	case <-room:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tryAdd adds unless the box is full: then it returns what to wait for.
func (b *outbox) tryAdd(record []byte) (room <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed != nil {
		return nil, b.closed
	}
	if b.bytes >= maxOutbox || b.buffer.isFull() {
		if b.room == nil {
			b.room = make(chan struct{})
		}
		return b.room, nil
	}
	b.pushCountedLocked(record)
	return nil, nil
}

// pushCountedLocked keeps a record and sends it, unless replay will do that.
func (b *outbox) pushCountedLocked(record []byte) {
	b.buffer.keep(record)
	if !b.away && !b.awaitingReplay {
		b.pushLocked(record)
	}
}

// addNow appends a small record even if the box is full: what is sent in answer to reading must not
// stop the reading.
func (b *outbox) addNow(record []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed == nil {
		b.pushCountedLocked(record)
	}
}

// addControl appends a record that is not counted, of a carrier's own: a handshake, a ping.
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
	b.signal()
}

func (b *outbox) signal() {
	select {
	case b.filled <- struct{}{}:
	default:
	}
}

// close refuses what comes from now on, with err; what is there is still sent. A last record may be
// put behind it.
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
	b.notifyRoomLocked()
	b.signal()
}

func (b *outbox) notifyRoomLocked() {
	if b.room != nil {
		close(b.room)
		b.room = nil
	}
}

// next waits for records and returns as many as go together, and what they belong to; nil when the
// box is closed and empty or ctx ended. The bytes are valid until the next call.
func (b *outbox) next(ctx context.Context) (batch []byte, to carrier) {
	for {
		batch, to, done := b.take()
		if batch != nil || done {
			return batch, to
		}
		select {
		case <-b.filled:
		case <-ctx.Done():
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
		b.batch = nil // one long record must not keep its room for ever
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
	b.notifyRoomLocked()
	return b.batch, b.carrier, false
}

func (b *outbox) isEmpty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.records) == 0
}
