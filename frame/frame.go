// Package frame holds an encoded message as every connection that carries it
// shares it: encoded once, and framed once for each kind of carrier.
package frame

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"
)

// Frame is one encoded message. It never changes; all methods are safe for
// concurrent use, and nobody writes to the bytes they return.
type Frame struct {
	payload  []byte
	binary   bool
	events   bool      // the payload is text of an event stream already
	delivery *Delivery // nil: the zero value
	// Framings are made when a carrier first asks. Two that ask at once may both
	// make one: the bytes are equal, and either will do.
	webSocket   atomic.Pointer[[]byte]
	eventStream atomic.Pointer[[]byte]
	eventChunk  atomic.Pointer[[]byte]
}

// New returns a frame of payload, which from then on belongs to the frame. binary
// says that the payload is no text: a WebSocket sends it as a binary message.
func New(payload []byte, binary bool) *Frame {
	return &Frame{payload: payload, binary: binary}
}

// NewEvent returns a frame of text that an event stream has as it is, but for the blank
// line at its end, which the framing adds.
func NewEvent(text []byte) *Frame { return &Frame{payload: text, events: true} }

// Payload is the message as a carrier without a framing of its own sends it.
func (f *Frame) Payload() []byte { return f.payload }

// Binary tells whether the payload is no text.
func (f *Frame) Binary() bool { return f.binary }

// IsEvent tells whether the payload is text of an event stream already.
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

// AppendWebSocket appends what WebSocket returns, for a carrier that gathers
// several frames which nobody else sends.
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

// AppendEventStream appends what EventStream returns. A line feed in the payload,
// with or without a carriage return before it, begins a new data line, as the
// original writes it; a lone carriage return stays.
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

// chunkDigits is how many digits the size of a chunk is written with: fixed, so that it
// can be filled in when the event is there.
const chunkDigits = 8

// EventStreamChunk is what EventStream returns as one chunk of a chunked body (RFC 9112, 7.1).
func (f *Frame) EventStreamChunk() []byte {
	return framed(&f.eventChunk, f, (*Frame).AppendEventStreamChunk, chunkDigits+len("\r\ndata: \r\n\r\n\r\n"))
}

// AppendEventStreamChunk appends what EventStreamChunk returns.
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
