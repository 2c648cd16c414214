package client

import (
	"context"
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/notify"
)

// readAhead is the number of bytes that may wait for handlers and stream consumers before reading
// pauses.
const readAhead = mebibyte

// budget bounds the messages that were read and are not handled yet. Reading pauses at readAhead,
// so that a slow consumer slows the server down. It must not pause at readAhead while a call waits
// for an answer: a loop over a stream that calls the hub for each item would wait for an answer
// that is never read. Then reading goes on up to the bound and pauses there.
type budget struct {
	limit int

	mu      sync.Mutex
	used    int
	waiters int         // calls that wait for a message to be read
	paused  bool        // the reader waits
	resumed time.Time   // when the reader last resumed
	changed notify.Gate // opens when the paused reader must check again
}

func newBudget(limit int) *budget {
	return &budget{limit: max(limit, readAhead)}
}

// acquire waits until n more bytes may be read ahead. Only the reader calls it.
func (b *budget) acquire(ctx context.Context, n int) error {
	for {
		changed := b.tryAcquire(n)
		if changed == nil {
			return nil
		}
		if err := await(ctx, changed); err != nil {
			b.stopWaiting()
			return err
		}
	}
}

// stopWaiting records that the reader no longer waits; another reader will start.
func (b *budget) stopWaiting() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = false
}

func (b *budget) isPaused() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paused
}

func (b *budget) tryAcquire(n int) (changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := readAhead
	if b.waiters > 0 {
		limit = b.limit
	}
	// A single message may be longer than the limit.
	if b.used > 0 && b.used+n > limit {
		b.paused = true
		return b.changed.Wait()
	}
	if b.paused {
		b.paused, b.resumed = false, time.Now()
	}
	b.used += n
	return nil
}

func (b *budget) release(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.changed.Open()
}

// expectAnswer records that a call waits for a message to be read, until done is called.
func (b *budget) expectAnswer() (done func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiters++
	b.changed.Open()
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.waiters--
	}
}

// excusesSilence reports whether silence for limit is caused by us and will pass: reading is
// paused, or was paused in that time. It returns false if a call waits for an answer that can no
// longer be read, because consumers do not read and the bound is reached.
func (b *budget) excusesSilence(limit time.Duration) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.paused {
		return b.waiters == 0
	}
	return time.Since(b.resumed) < limit
}
