package longpolling

import (
	"io"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// batch is what an answer is made of.
type batch struct{ *socket.Batch }

// maxBody is the length of a body at which the rest of the queue waits for the next poll. One
// message may exceed it.
const maxBody = 1 << 20

// gather takes the queue, up to the limit of one body: frames that are sent in the meantime
// must not make an endless body.
func (b batch) gather(c *connection.Connection, k connection.Carrier) (outcome connection.Outcome) {
	for size := 0; ; {
		had := len(b.Frames)
		b.Frames, outcome = c.Next(k, b.Frames)
		size += length(b.Frames[had:])
		if outcome != connection.Frames || size >= maxBody {
			return outcome
		}
	}
}

// pieceSize is about how much of a body is gathered for one write. A client that reads slowly
// must not have a copy of all that was queued.
const pieceSize = 32 << 10

// writeTo writes b.Bytes, the begin of an answer, and then the frames.
func (b batch) writeTo(w io.Writer) error {
	for _, f := range b.Frames {
		p := f.Payload()
		if len(b.Bytes)+len(p) > pieceSize {
			if err := b.flush(w); err != nil {
				return err
			}
		}
		if len(p) <= pieceSize {
			b.Bytes = append(b.Bytes, p...)
		} else if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return b.flush(w)
}

// flush writes b.Bytes.
func (b batch) flush(w io.Writer) error {
	if len(b.Bytes) == 0 {
		return nil
	}
	_, err := w.Write(b.Bytes)
	b.Bytes = b.Bytes[:0]
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
