package connection

import (
	"sync/atomic"

	"github.com/carillon-go/carillon/frame"
)

// Carrier sends a connection's frames: a WebSocket, an event stream, or a poll.
type Carrier interface {
	// Wake is called when the queue is not empty or the connection is closing. The
	// connection's lock is held, so Wake must not block or call back. It is not called again
	// until Next has reported that the queue is empty.
	Wake()
	// Cut ends the carrier at once, because the connection has ended with cause. It is called
	// without the lock.
	Cut(cause error)
}

// DirectCarrier is a Carrier that can send without being woken.
type DirectCarrier interface {
	Carrier
	// TryWrite sends as many frames as it can without waiting. taken is the number of frames
	// that it has accepted. all reports that it has sent all of them completely; otherwise it
	// is woken for the rest. It is called like Wake.
	TryWrite(first *frame.Frame, more ...*frame.Frame) (taken int, all bool)
	// Memory returns a word on the cache line that TryWrite reads first. Loading the word
	// prefetches the line. The result is always the same.
	Memory() *atomic.Uint32
}

// OnceCarrier is a Carrier of one answer, such as a poll, that can send the answer without
// being woken.
type OnceCarrier interface {
	Carrier
	// TryAnswer answers with all frames without waiting, and reports whether it did. If not,
	// the carrier is woken for the frames. If so, the carrier no longer belongs to the
	// connection, as after Detach. sent reports that the answer is sent completely; otherwise
	// the carrier sends the rest, calls PutBack if that fails, and then Detach. TryAnswer is
	// called like Wake.
	TryAnswer(frames []*frame.Frame) (answered, sent bool)
}
