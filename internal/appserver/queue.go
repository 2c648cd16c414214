package appserver

import (
	"errors"
	"sync"

	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// The limits of the messages that wait for a server connection, in bytes. From slowAt on, clients are
// not read, and the connection gets no new ones. At maxQueued it ends.
const (
	slowAt    = 1 << 20
	maxQueued = 16 << 20
)

var (
	errLost = errors.New("appserver: the connection to the application server was lost")
	errSlow = errors.New("appserver: the application server does not read")
)

// queue holds the messages for a server connection, in order. It is safe for concurrent use.
type queue struct {
	mu      sync.Mutex
	pending []byte
	err     error         // of the end
	room    notify.Gate   // opens when pending is taken, and at the end
	written notify.Signal // there is something to take, or the end has come
}

// put appends a message. It does not wait.
func (q *queue) put(m *serviceprotocol.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil && len(q.pending) > maxQueued {
		q.endLocked(errSlow)
	}
	if q.err != nil {
		return q.err
	}
	q.pending = serviceprotocol.Append(q.pending, m)
	q.written.Notify()
	return nil
}

// full returns a channel that is closed when less than slowAt waits, or at the end. nil: it is so now.
func (q *queue) full() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil || len(q.pending) < slowAt {
		return nil
	}
	return q.room.Wait()
}

// take returns all messages, and leaves the queue empty with the memory of spare.
func (q *queue) take(spare []byte) ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.pending
	q.pending = spare[:0]
	q.room.Open()
	return taken, q.err
}

// end makes all later calls of put fail. Messages that wait are dropped. Only the first
// call counts.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.endLocked(err)
}

func (q *queue) endLocked(err error) {
	if q.err != nil {
		return
	}
	q.err, q.pending = err, nil
	q.room.Open()
	q.written.Notify()
}

// size returns the number of bytes that wait.
func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pending)
}

// cause returns the error of the end.
func (q *queue) cause() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// isSlow reports whether so much waits that no more clients are accepted.
func (q *queue) isSlow() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err != nil || len(q.pending) >= slowAt
}
