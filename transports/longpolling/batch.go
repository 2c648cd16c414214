package longpolling

import (
	"io"
	"sync"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
)

// batch holds the buffers of an answer, which are reused.
type batch struct {
	frames []*frame.Frame
	bytes  []byte
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// maxIdleBatch is the largest buffer that is kept for reuse.
const maxIdleBatch = 64 << 10

func (b *batch) giveBack() {
	clear(b.frames)
	b.frames = b.frames[:0]
	if cap(b.bytes) <= maxIdleBatch {
		batches.Put(b)
	}
}

// maxBody is the length of a body at which the rest of the queue waits for the next poll. One
// message may exceed it.
const maxBody = 1 << 20

// gather takes the queue, up to the limit of one body: frames that are sent in the meantime
// must not make an endless body.
func (b *batch) gather(c *connection.Connection, k connection.Carrier) (outcome connection.Outcome) {
	for size := 0; ; {
		had := len(b.frames)
		b.frames, outcome = c.Next(k, b.frames)
		size += length(b.frames[had:])
		if outcome != connection.Frames || size >= maxBody {
			return outcome
		}
	}
}

// pieceSize is about how much of a body is gathered for one write. A client that reads slowly
// must not have a copy of all that was queued.
const pieceSize = 32 << 10

// writeTo writes b.bytes, the begin of an answer, and then the frames.
func (b *batch) writeTo(w io.Writer) error {
	for _, f := range b.frames {
		p := f.Payload()
		if len(b.bytes)+len(p) > pieceSize {
			if err := b.flush(w); err != nil {
				return err
			}
		}
		if len(p) <= pieceSize {
			b.bytes = append(b.bytes, p...)
		} else if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return b.flush(w)
}

// flush writes b.bytes.
func (b *batch) flush(w io.Writer) error {
	if len(b.bytes) == 0 {
		return nil
	}
	_, err := w.Write(b.bytes)
	b.bytes = b.bytes[:0]
	return err
}

// length returns the length of a body. Polls add no framing to the frames.
func length(frames []*frame.Frame) (n int) {
	for _, f := range frames {
		n += f.Len()
	}
	return n
}

func appendBody(b []byte, frames []*frame.Frame) []byte {
	for _, f := range frames {
		b = append(b, f.Payload()...)
	}
	return b
}
