package socket

import (
	"bytes"
	"sync"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
)

// Framing defines how a carrier frames messages.
type Framing struct {
	// Append appends a framed message. It is used to gather several in one write.
	Append func(f *frame.Frame, dst []byte) []byte
	// Whole returns a long framed message. All its receivers share the bytes.
	Whole func(f *frame.Frame) []byte
}

const (
	// copyLimit is the length up to which frames are gathered in one buffer. A longer frame
	// is written from the bytes that all its receivers share.
	copyLimit = 16 << 10
	// gatherLimit is the approximate number of bytes in one write.
	gatherLimit = 64 << 10
)

// Batch holds the buffers of a write, which are reused.
type Batch struct {
	Frames []*frame.Frame
	Bytes  []byte
}

var batches = sync.Pool{New: func() any { return new(Batch) }}

// NewBatch returns an empty batch. Call GiveBack after its use.
func NewBatch() *Batch { return batches.Get().(*Batch) }

// maxIdleBatch is the largest buffer that is kept for reuse.
const maxIdleBatch = 128 << 10

// GiveBack makes the buffers of b available to others.
func (b *Batch) GiveBack() {
	clear(b.Frames)
	if b.Frames, b.Bytes = b.Frames[:0], b.Bytes[:0]; cap(b.Bytes) <= maxIdleBatch {
		batches.Put(b)
	}
}

// gather frames the first n frames for one write, after the bytes that b.Bytes has already.
func (b *Batch) gather(framing *Framing, frames []*frame.Frame) (framed []byte, n int) {
	if frames[0].Len() > copyLimit && len(b.Bytes) == 0 {
		return framing.Whole(frames[0]), 1
	}
	for n < len(frames) && frames[n].Len() <= copyLimit && len(b.Bytes) < gatherLimit {
		b.Bytes = framing.Append(frames[n], b.Bytes)
		n++
	}
	return b.Bytes, n
}

// Write writes b.Bytes and then the framed b.Frames.
func (b *Batch) Write(framing *Framing, write func([]byte) error) error {
	for frames := b.Frames; len(frames) > 0; {
		framed, n := b.gather(framing, frames)
		if err := write(framed); err != nil {
			return err
		}
		frames, b.Bytes = frames[n:], b.Bytes[:0]
	}
	return nil
}

// rest returns the bytes that gather framed, without the first written bytes. One frame may
// have as many slow receivers as there are connections, so they share its bytes.
func (b *Batch) rest(framing *Framing, frames []*frame.Frame, written int) []byte {
	if len(frames) == 1 {
		return framing.Whole(frames[0])[written:]
	}
	return bytes.Clone(b.Bytes[written:])
}

// Drain writes the frames queued for k until Next returns no frames. It returns the outcome
// of that Next, or the error of write.
func Drain(c *connection.Connection, k connection.Carrier, framing *Framing, write func([]byte) error) (connection.Outcome, error) {
	b := NewBatch()
	defer b.GiveBack()
	for {
		var outcome connection.Outcome
		b.Frames, outcome = c.Next(k, b.Frames[:0])
		if outcome != connection.Frames {
			return outcome, nil
		}
		if err := b.Write(framing, write); err != nil {
			return outcome, err
		}
		clear(b.Frames)
	}
}
