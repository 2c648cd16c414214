// Package frame holds an encoded message that all its receivers share. It is encoded
// once, and framed once for each kind of carrier.
package frame

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
)

// Frame is one encoded message. It never changes. All methods are safe for concurrent
// use; callers must not change the returned bytes.
type Frame struct {
	payload  []byte
	binary   bool
	events   bool      // the payload is already text of an event stream
	delivery *Delivery // nil: the zero value
	// A framing is made when a carrier first asks for it. Two carriers that ask
	// concurrently may both make one: the bytes are equal, so either will do.
	webSocket   atomic.Pointer[[]byte]
	eventStream atomic.Pointer[[]byte]
	eventChunk  atomic.Pointer[[]byte]
}

// New returns a frame with a payload. The payload belongs to the frame from then on.
// binary reports whether a WebSocket sends it as a binary message.
func New(payload []byte, binary bool) *Frame {
	return &Frame{payload: payload, binary: binary}
}

// NewEvent returns a frame for an event stream. The text is one event without the blank line
// at its end, which the framing adds.
func NewEvent(text []byte) *Frame { return &Frame{payload: text, events: true} }

// Payload is the message without any framing, as long polling sends it.
func (f *Frame) Payload() []byte { return f.payload }

// Binary reports whether the payload is binary.
func (f *Frame) Binary() bool { return f.binary }

// IsEvent reports whether the payload is already text of an event stream.
func (f *Frame) IsEvent() bool { return f.events }

// Len is the length of the payload in bytes.
func (f *Frame) Len() int { return len(f.payload) }

// WebSocket is the payload as one unmasked, final WebSocket frame (RFC 6455, 5.2).
func (f *Frame) WebSocket() []byte {
	return framed(&f.webSocket, f, (*Frame).AppendWebSocket, maxHeader)
}

// EventStream is the payload as one event of an event stream.
func (f *Frame) EventStream() []byte {
	return framed(&f.eventStream, f, (*Frame).AppendEventStream, len("data: \r\n\r\n"))
}

func framed(cache *atomic.Pointer[[]byte], f *Frame, build func(*Frame, []byte) []byte, more int) []byte {
	if b := cache.Load(); b != nil {
		return *b
	}
	b := build(f, make([]byte, 0, len(f.payload)+more))
	cache.Store(&b)
	return b
}

// The first byte of a WebSocket frame: FIN and the opcode.
const (
	finalText   = 0x80 | 1
	finalBinary = 0x80 | 2
)

// maxHeader is the length of the longest header of an unmasked frame.
const maxHeader = 10

// AppendWebSocket appends the bytes of WebSocket without keeping them, for a carrier
// that gathers several frames which no other carrier sends.
func (f *Frame) AppendWebSocket(dst []byte) []byte {
	first := byte(finalText)
	if f.binary {
		first = finalBinary
	}
	n := len(f.payload)
	switch {
	case n < 126:
		dst = append(dst, first, byte(n))
	case n <= 0xffff:
		dst = binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(n))
	}
	return append(dst, f.payload...)
}

// AppendEventStream appends the bytes of EventStream. A line feed in the payload, with or
// without a carriage return before it, begins a new data line, as in the original. A lone
// carriage return stays.
func (f *Frame) AppendEventStream(dst []byte) []byte {
	if f.events {
		return append(append(dst, f.payload...), "\r\n\r\n"...)
	}
	dst = append(dst, "data: "...)
	rest := f.payload
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		dst = append(dst, bytes.TrimSuffix(rest[:end], []byte{'\r'})...)
		dst = append(dst, "\r\ndata: "...)
		rest = rest[end+1:]
	}
	return append(append(dst, rest...), "\r\n\r\n"...)
}

// chunkDigits is the number of digits of a chunk's size. It is fixed, so that the size
// can be filled in after the event.
const chunkDigits = 8

// EventStreamChunk is the event of EventStream as one chunk of a chunked body (RFC 9112, 7.1).
func (f *Frame) EventStreamChunk() []byte {
	return framed(&f.eventChunk, f, (*Frame).AppendEventStreamChunk, chunkDigits+len("\r\ndata: \r\n\r\n\r\n"))
}

// AppendEventStreamChunk appends the bytes of EventStreamChunk.
func (f *Frame) AppendEventStreamChunk(dst []byte) []byte {
	start := len(dst)
	dst = f.AppendEventStream(append(dst, "00000000\r\n"...))
	size := len(dst) - start - chunkDigits - len("\r\n")
	for i := start + chunkDigits - 1; size > 0; i-- {
		dst[i] = "0123456789abcdef"[size&0xf]
		size >>= 4
	}
	return append(dst, "\r\n"...)
}
