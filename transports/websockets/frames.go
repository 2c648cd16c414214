package websockets

import (
	"encoding/binary"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/carillon-go/carillon/transports"
)

// The opcodes of RFC 6455, 5.2.
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// Close codes of RFC 6455, 7.4.1.
const (
	closeNormal   = 1000
	closeProtocol = 1002
	closeNotText  = 1007
)

// maxControl is the longest payload of a control frame.
const maxControl = 125

// violation is a breach of RFC 6455 by the client; its value is the close code.
type violation int

func (v violation) Error() string {
	return "websockets: the client violates the protocol, close code " + strconv.Itoa(int(v))
}

// Unwrap: a stateful connection goes on with the next WebSocket.
func (v violation) Unwrap() error { return transports.ErrCut }

var (
	// errClosed: the client sent a valid close frame.
	errClosed = errors.New("websockets: close frame")
	// errBadClose: it sent one with a code or a reason that is none. The original
	// answers it as a violation, but ends in order.
	errBadClose = errors.New("websockets: invalid close frame")
)

// handler gets what the frames carry.
type handler interface {
	data(payload []byte, more bool) // a piece of a message, unmasked; more is here behind it
	control(opcode byte, payload []byte)
}

// decoder takes the client's frames apart as their bytes come. It keeps no payload: a
// message is handed on frame by frame, a frame that is longer than the reader's buffer
// in pieces, because what it carries has a framing of its own.
type decoder struct {
	left    int64 // of the frame's payload
	header  [14]byte
	have    uint8 // bytes of header
	need    uint8 // bytes that the header has; 0: not known yet
	opcode  byte
	fin     bool
	inFrame bool
	message byte // opcode of the message under way; 0: none
	mask    [4]byte
	at      uint8 // of mask, counted on and on
	text    textChecker
}

// decode takes b apart and returns what is left of it: the begun payload of a frame
// whose rest is not there yet, unless full says that there is no room for more, as there
// always is for a control frame. It changes b. The error is a violation, errClosed or errBadClose.
func (d *decoder) decode(b []byte, full bool, h handler) (rest []byte, err error) {
	for len(b) > 0 {
		if !d.inFrame {
			n, err := d.readHeader(b)
			if err != nil {
				return nil, err
			}
			b = b[n:]
			if !d.inFrame {
				return nil, nil
			}
		}
		if (!full || d.opcode >= opClose) && int64(len(b)) < d.left {
			return b, nil
		}
		n := int(min(int64(len(b)), d.left))
		d.unmask(b[:n])
		d.left -= int64(n)
		if err := d.payload(b[:n], len(b) > n, h); err != nil {
			return nil, err
		}
		b = b[n:]
	}
	return nil, nil
}

// readHeader gathers a header; inFrame tells that it is complete.
func (d *decoder) readHeader(b []byte) (n int, err error) {
	for n < len(b) && !d.inFrame {
		d.header[d.have] = b[n]
		d.have++
		n++
		if d.have == 2 {
			if err := d.begin(); err != nil {
				return n, err
			}
		}
		if d.have > 2 && d.have == d.need {
			if err := d.sized(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// begin judges the first two bytes.
func (d *decoder) begin() error {
	first, second := d.header[0], d.header[1]
	d.fin, d.opcode = first&0x80 != 0, first&0x0f
	length := int(second & 0x7f)
	if first&0x70 != 0 || second&0x80 == 0 {
		return violation(closeProtocol)
	}
	switch d.opcode {
	case opContinuation:
		if d.message == 0 {
			return violation(closeProtocol)
		}
	case opText, opBinary:
		if d.message != 0 {
			return violation(closeProtocol)
		}
	case opClose, opPing, opPong:
		if !d.fin || length > maxControl {
			return violation(closeProtocol)
		}
	default:
		return violation(closeProtocol)
	}
	d.need = 6
	switch length {
	case 126:
		d.need = 8
	case 127:
		d.need = 14
	}
	return nil
}

// sized takes the rest of the header.
func (d *decoder) sized() error {
	switch d.need {
	case 6:
		d.left = int64(d.header[1] & 0x7f)
	case 8:
		d.left = int64(binary.BigEndian.Uint16(d.header[2:]))
	default:
		n := binary.BigEndian.Uint64(d.header[2:])
		if n > 1<<63-1 {
			return violation(closeProtocol)
		}
		d.left = int64(n)
	}
	copy(d.mask[:], d.header[d.need-4:d.need])
	d.at, d.inFrame = 0, true
	if d.opcode == opText || d.opcode == opBinary {
		d.message = d.opcode
	}
	return nil
}

func (d *decoder) unmask(b []byte) {
	if d.mask == [4]byte{} {
		return
	}
	i := 0
	for ; i < len(b) && d.at&3 != 0; i++ {
		b[i] ^= d.mask[d.at&3]
		d.at++
	}
	if len(b)-i >= 8 {
		key := uint64(binary.LittleEndian.Uint32(d.mask[:]))
		key |= key << 32
		for ; len(b)-i >= 8; i += 8 {
			binary.LittleEndian.PutUint64(b[i:], binary.LittleEndian.Uint64(b[i:])^key)
		}
	}
	for ; i < len(b); i++ {
		b[i] ^= d.mask[d.at&3]
		d.at++
	}
}

// payload handles a piece of a frame's payload, the last one if left is 0.
func (d *decoder) payload(b []byte, more bool, h handler) error {
	if d.opcode >= opClose {
		d.inFrame, d.have, d.need = false, 0, 0
		return d.control(b, h)
	}
	if err := d.piece(b, more, h); err != nil {
		return err
	}
	if d.left > 0 {
		return nil
	}
	d.inFrame, d.have, d.need = false, 0, 0
	if d.fin {
		text := d.message == opText
		d.message = 0
		if text && !d.text.end() {
			return violation(closeNotText)
		}
	}
	return nil
}

func (d *decoder) piece(b []byte, more bool, h handler) error {
	if d.message == opText && !d.text.add(b) {
		return violation(closeNotText)
	}
	if len(b) > 0 {
		h.data(b, more)
	}
	return nil
}

// control handles a control frame, which is always here as a whole.
func (d *decoder) control(payload []byte, h handler) error {
	if d.opcode != opClose {
		h.control(d.opcode, payload)
		return nil
	}
	if len(payload) == 0 {
		return errClosed
	}
	if len(payload) == 1 || !validCode(int(binary.BigEndian.Uint16(payload))) || !utf8.Valid(payload[2:]) {
		return errBadClose
	}
	return errClosed
}

// validCode tells whether a client may send the code (RFC 6455, 7.4, and those that
// were registered since).
func validCode(code int) bool {
	return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 || code >= 3000 && code <= 4999
}

// textChecker checks that text is UTF-8 when it comes in pieces.
type textChecker struct {
	rest [utf8.UTFMax]byte // a character that the last piece did not complete
	n    uint8
}

func (c *textChecker) add(b []byte) bool {
	for c.n > 0 && len(b) > 0 {
		c.rest[c.n] = b[0]
		c.n++
		b = b[1:]
		if utf8.FullRune(c.rest[:c.n]) {
			r, size := utf8.DecodeRune(c.rest[:c.n])
			if r == utf8.RuneError && size <= 1 {
				return false
			}
			c.n = 0
		}
	}
	if utf8.Valid(b) {
		return true
	}
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		tail := b[len(b)-i:]
		if utf8.RuneStart(tail[0]) && !utf8.FullRune(tail) {
			c.n = uint8(copy(c.rest[:], tail))
			return utf8.Valid(b[:len(b)-i])
		}
	}
	return false
}

// end tells whether the text ended with a whole character.
func (c *textChecker) end() bool {
	whole := c.n == 0
	c.n = 0
	return whole
}

// appendControl appends an unmasked control frame.
func appendControl(dst []byte, opcode byte, payload []byte) []byte {
	return append(append(dst, 0x80|opcode, byte(len(payload))), payload...)
}
