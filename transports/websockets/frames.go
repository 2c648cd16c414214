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

// violation is a client's violation of RFC 6455. Its value is the close code.
type violation int

func (v violation) Error() string {
	return "websockets: the client violates the protocol, close code " + strconv.Itoa(int(v))
}

// Unwrap returns ErrCut: a stateful connection continues with the next WebSocket.
func (v violation) Unwrap() error { return transports.ErrCut }

var (
	// errClosed: the client sent a valid close frame.
	errClosed = errors.New("websockets: close frame")
	// errBadClose: the client sent a close frame with an invalid code or reason. ASP.NET Core
	// answers it like a violation, but the end counts as orderly.
	errBadClose = errors.New("websockets: invalid close frame")
)

// handler receives the contents of frames.
type handler interface {
	data(payload []byte, more bool) // a part of a message, unmasked; more: more bytes have arrived after it
	control(opcode byte, payload []byte)
}

// decoder parses the client's frames as their bytes arrive. It keeps no payload: it passes a
// message on frame by frame, and a frame that is longer than the reader's buffer in parts,
// because the payload has a framing of its own.
type decoder struct {
	left    int64 // of the frame's payload
	header  [14]byte
	have    uint8 // bytes of header
	need    uint8 // length of the header; 0: unknown
	opcode  byte
	fin     bool
	inFrame bool
	message byte // opcode of the incomplete message; 0: none
	mask    [4]byte
	at      uint8 // index into mask, modulo 4
	text    textChecker
}

// decode parses b and returns the unconsumed tail: the beginning of a payload whose rest has
// not arrived. If full is true the buffer cannot grow, and only the payload of a control
// frame is left over, because that always fits. decode changes b. The error is a violation,
// errClosed or errBadClose.
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

// readHeader collects the bytes of a header and sets inFrame when it is complete.
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

// begin checks the first two bytes.
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

// sized parses the rest of the header.
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

// payload processes a part of a frame's payload. It is the last part if left is 0.
func (d *decoder) payload(b []byte, more bool, h handler) error {
	if d.opcode >= opClose {
		d.inFrame, d.have, d.need = false, 0, 0
		return d.control(b, h)
	}
	if d.message == opText && !d.text.add(b) {
		return violation(closeNotText)
	}
	if len(b) > 0 {
		h.data(b, more)
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

// control processes a control frame, which is always complete.
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

// validCode reports whether a client may send the code (RFC 6455, 7.4, and the codes
// registered since).
func validCode(code int) bool {
	return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 || code >= 3000 && code <= 4999
}

// textChecker checks that text which arrives in parts is UTF-8.
type textChecker struct {
	rest [utf8.UTFMax]byte // an incomplete character at the end of the last part
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

// end reports whether the text ended with a complete character.
func (c *textChecker) end() bool {
	whole := c.n == 0
	c.n = 0
	return whole
}

// appendControl appends an unmasked control frame.
func appendControl(dst []byte, opcode byte, payload []byte) []byte {
	return append(append(dst, 0x80|opcode, byte(len(payload))), payload...)
}
