package golden

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Opcodes of RFC 6455.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
	final          = 0x80
)

// websocketKey is the key of RFC 6455's example. The accept value in the transcripts belongs
// to it.
const websocketKey = "dGhlIHNhbXBsZSBub25jZQ=="

// upgradeHeaders returns the headers of a WebSocket handshake.
func upgradeHeaders() []string {
	return []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + websocketKey}
}

// A websocket is the client's end of a WebSocket.
type websocket struct {
	*socket
	streams  []stream // received and not taken yet
	op       byte     // of the incomplete message
	pongs    []string
	gotClose bool
	code     int
	reason   string
	said     bool // we have sent a close frame
}

// A stream is the data of consecutive messages of one kind. The server may split it into
// frames and messages in any way.
type stream struct {
	op   byte
	data []byte
}

// frame sends a whole message, or a control frame.
func (w *websocket) frame(op byte, payload []byte) error {
	return w.write(encodeFrame(final|op, true, payload))
}

func encodeFrame(first byte, masked bool, payload []byte) []byte {
	b := []byte{first}
	var mask byte
	if masked {
		mask = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	if !masked {
		return append(b, payload...)
	}
	key := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	return b
}

// closeFrame sends a close frame. Code 0 sends one without a code.
func (w *websocket) closeFrame(code int) error {
	w.said = true
	var payload []byte
	if code != 0 {
		payload = binary.BigEndian.AppendUint16(nil, uint16(code))
	}
	return w.frame(opClose, payload)
}

// read waits for one frame and stores it. It answers the server's pings.
func (w *websocket) read(deadline time.Time) error {
	for {
		first, payload, n, err := parseFrame(w.in)
		if err != nil {
			return err
		}
		if n > 0 {
			w.in = w.in[n:]
			return w.file(first, payload)
		}
		if err := w.fill(deadline); err != nil {
			return err
		}
	}
}

// parseFrame parses the first frame. n is 0 if the frame is incomplete. A server's frames are
// not masked.
func parseFrame(in []byte) (first byte, payload []byte, n int, err error) {
	if len(in) < 2 {
		return 0, nil, 0, nil
	}
	if in[1]&0x80 != 0 || in[0]&0x70 != 0 {
		return 0, nil, 0, fmt.Errorf("a frame that a server must not send: % x", in[:2])
	}
	head, length := 2, uint64(in[1])
	switch {
	case length == 126 && len(in) >= 4:
		head, length = 4, uint64(binary.BigEndian.Uint16(in[2:]))
	case length == 127 && len(in) >= 10:
		head, length = 10, binary.BigEndian.Uint64(in[2:])
	case length >= 126:
		return 0, nil, 0, nil
	}
	if uint64(len(in)-head) < length {
		return 0, nil, 0, nil
	}
	n = head + int(length)
	return in[0], bytes.Clone(in[head:n]), n, nil
}

func (w *websocket) file(first byte, payload []byte) error {
	if w.gotClose {
		return fmt.Errorf("a frame behind the close frame: %#x %q", first, payload)
	}
	switch op := first & 0xF; op {
	case opPing:
		return w.frame(opPong, payload)
	case opPong:
		w.pongs = append(w.pongs, string(payload))
	case opClose:
		w.gotClose = true
		if len(payload) >= 2 {
			w.code, w.reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
		}
	case opText, opBinary, opContinuation:
		if op != opContinuation {
			w.op = op
		}
		w.append(w.op, payload)
	default:
		return fmt.Errorf("a frame with opcode %d", op)
	}
	return nil
}

func (w *websocket) append(op byte, payload []byte) {
	if n := len(w.streams); n > 0 && w.streams[n-1].op == op {
		w.streams[n-1].data = append(w.streams[n-1].data, payload...)
		return
	}
	w.streams = append(w.streams, stream{op, payload})
}

// cut waits until take finds a complete item at the beginning of the received messages of a
// kind, and removes it.
func (w *websocket) cut(op byte, deadline time.Time, take func(data []byte) (n int, err error)) (string, error) {
	for {
		if err := w.expectKind(op); err != nil {
			return "", err
		}
		if len(w.streams) > 0 {
			data := w.streams[0].data
			n, err := take(data)
			if err != nil {
				return "", err
			}
			if n > 0 {
				w.discard(n)
				return string(data[:n]), nil
			}
		}
		if w.gotClose {
			return "", fmt.Errorf("closed with %d %q behind %q", w.code, w.reason, w.untaken())
		}
		if err := w.read(deadline); err != nil {
			return "", fmt.Errorf("%w; there is %q", err, w.untaken())
		}
	}
}

// exactly waits for a number of bytes in messages of a kind.
func (w *websocket) exactly(length int, op byte, deadline time.Time) (string, error) {
	return w.cut(op, deadline, func(data []byte) (int, error) {
		if len(data) < length {
			return 0, nil
		}
		return length, nil
	})
}

// discard removes the first n received bytes.
func (w *websocket) discard(n int) {
	w.streams[0].data = w.streams[0].data[n:]
	if len(w.streams[0].data) == 0 {
		w.streams = w.streams[1:]
	}
}

func (w *websocket) expectKind(op byte) error {
	if len(w.streams) > 0 && w.streams[0].op != op {
		return fmt.Errorf("a message with opcode %d where one with %d is due: %q", w.streams[0].op, op, w.streams[0].data)
	}
	return nil
}

func (w *websocket) untaken() string {
	var b strings.Builder
	for _, s := range w.streams {
		b.Write(s.data)
	}
	if b.Len() > 500 {
		return b.String()[:500] + "…"
	}
	return b.String()
}

// awaitEnd waits until the server ends TCP, and returns the way in which it did. Only pings
// and hub messages may arrive before that.
func (w *websocket) awaitEnd(deadline time.Time) (string, error) {
	for had := w.gotClose; w.end == nil; {
		if err := w.read(deadline); err != nil && w.end == nil {
			return "", fmt.Errorf("the server does not end TCP: %w", err)
		}
		if w.gotClose && !had {
			return "", fmt.Errorf("a close frame with %d %q where TCP was to end", w.code, w.reason)
		}
	}
	return ending(w.end), nil
}

func (w *websocket) pong(deadline time.Time) (string, error) {
	for len(w.pongs) == 0 {
		if err := w.read(deadline); err != nil {
			return "", err
		}
	}
	first := w.pongs[0]
	w.pongs = w.pongs[1:]
	return first, nil
}
