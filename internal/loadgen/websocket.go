package loadgen

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Opcodes of RFC 6455.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// webSocket is a client's end of a WebSocket, reduced to the needs of a load generator.
type webSocket struct {
	g *generator
	*httpConn
	mu sync.Mutex // guards writes: calls, pings, pongs
}

const upgradeHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: Y2FyaWxsb24gbG9hZGdlbg==\r\n"

func (w *webSocket) connect(ctx context.Context, t *target, query string) error {
	c, err := t.dialHTTP(ctx)
	if err != nil {
		return err
	}
	w.httpConn = c
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err = c.Write(t.request("GET", t.path("", query), upgradeHeaders, nil)); err == nil {
		var h head
		if h, err = c.readHead(); err == nil && h.status != 101 {
			err = fmt.Errorf("status %d", h.status)
		}
	}
	if err != nil {
		_ = c.Close()
	}
	return err
}

func (w *webSocket) setDeadline(t time.Time) { _ = w.SetDeadline(t) }

func (w *webSocket) leave() error { return nil }

func (w *webSocket) send(framed []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.Write(framed)
	return err
}

// appendFrame appends a client's frame. The mask is zero, which is cheap for the client;
// the server's work is the same.
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	const final, masked = 0x80, 0x80
	dst = append(dst, final|opcode)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, masked|byte(n))
	case n < 1<<16:
		dst = append(dst, masked|126, byte(n>>8), byte(n))
	default:
		dst = append(dst, masked|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n)) //nolint:gosec // a length
	}
	return append(append(dst, 0, 0, 0, 0), payload...)
}

// step reads one frame.
func (w *webSocket) step(feed func([]byte) error) (more bool, err error) {
	opcode, length, err := w.frameHead()
	if err != nil {
		return false, err
	}
	if opcode >= opClose {
		err = w.control(opcode, length)
		return w.r.Buffered() > 0, err
	}
	for length > 0 {
		chunk, err := w.r.Peek(min(length, max(1, w.r.Buffered())))
		if err != nil {
			return false, err
		}
		if err := feed(chunk); err != nil {
			return false, err
		}
		length -= len(chunk)
		_, _ = w.r.Discard(len(chunk)) // cannot fail: chunk was peeked
	}
	return w.r.Buffered() > 0, nil
}

func (w *webSocket) frameHead() (opcode byte, length int, err error) {
	b, err := w.r.Peek(2)
	if err != nil {
		return 0, 0, err
	}
	opcode = b[0] & 0x0f
	announced, more := uint64(b[1]&0x7f), 0
	switch announced {
	case 126:
		more = 2
	case 127:
		more = 8
	}
	if more > 0 {
		if b, err = w.r.Peek(2 + more); err != nil {
			return 0, 0, err
		}
		announced = 0
		for _, c := range b[2:] {
			announced = announced<<8 | uint64(c)
		}
	}
	if announced > longestBody {
		return 0, 0, fmt.Errorf("a frame of %d bytes", announced)
	}
	_, _ = w.r.Discard(2 + more) // cannot fail: these bytes were peeked
	return opcode, int(announced), nil
}

func (w *webSocket) control(opcode byte, length int) error {
	payload := make([]byte, length)
	if _, err := io.ReadFull(w.r, payload); err != nil {
		return err
	}
	switch opcode {
	case opPing:
		return w.send(appendFrame(nil, opPong, payload))
	case opClose:
		if length < 2 {
			return errors.New("the server closed the WebSocket")
		}
		return fmt.Errorf("the server closed the WebSocket: %d %s", binary.BigEndian.Uint16(payload), payload[2:])
	}
	return nil
}
