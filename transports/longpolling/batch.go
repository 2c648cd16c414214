package longpolling

import (
	"io"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// batch holds the parts of an answer.
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

// framing is that of polls, which add nothing to the frames.
var framing = &socket.Framing{
	Append: func(f *frame.Frame, dst []byte) []byte { return append(dst, f.Payload()...) },
	Whole:  (*frame.Frame).Payload,
}

// writeTo writes b.Bytes, the begin of an answer, and then the frames.
func (b batch) writeTo(w io.Writer) error {
	return b.Write(framing, func(p []byte) error {
		_, err := w.Write(p)
		return err
	})
}

// length returns the length of a body.
func length(frames []*frame.Frame) (n int) {
	for _, f := range frames {
		n += f.Len()
	}
	return n
}
