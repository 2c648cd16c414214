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

// A peer is the client's end of a WebSocket.
type peer struct {
	*socket
	hub       string // path
	protocol  string // hub protocol
	handshake bool   // the handshake response has arrived
	stateful  bool

	streams   []stream // received and not taken yet
	op        byte     // of the incomplete message
	pongs     []string
	gotClose  bool
	code      int
	reason    string
	said      bool // we have sent a close frame
	overtaken bool // ASP.NET Core's reset arrived and discarded its close frame
	away      bool // the transcript no longer expects it to be open
	acked     int64
}

// A stream is the data of consecutive messages of one kind. The server may split it into
// frames and messages in any way.
type stream struct {
	op   byte
	data []byte
}

// frame sends a whole message, or a control frame.
func (p *peer) frame(op byte, payload []byte) error {
	return p.write(encodeFrame(final|op, true, payload))
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
func (p *peer) closeFrame(code int) error {
	p.said = true
	var payload []byte
	if code != 0 {
		payload = binary.BigEndian.AppendUint16(nil, uint16(code))
	}
	return p.frame(opClose, payload)
}

// read waits for one frame and stores it. It answers the server's pings.
func (p *peer) read(deadline time.Time) error {
	for {
		first, payload, n, err := parseFrame(p.in)
		if err != nil {
			return err
		}
		if n > 0 {
			p.in = p.in[n:]
			return p.file(first, payload)
		}
		if err := p.fill(deadline); err != nil {
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

func (p *peer) file(first byte, payload []byte) error {
	if p.gotClose {
		return fmt.Errorf("a frame behind the close frame: %#x %q", first, payload)
	}
	switch op := first & 0xF; op {
	case opPing:
		return p.frame(opPong, payload)
	case opPong:
		p.pongs = append(p.pongs, string(payload))
	case opClose:
		p.gotClose = true
		if len(payload) >= 2 {
			p.code, p.reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
		}
	case opText, opBinary, opContinuation:
		if op != opContinuation {
			p.op = op
		}
		p.append(p.op, payload)
	default:
		return fmt.Errorf("a frame with opcode %d", op)
	}
	return nil
}

func (p *peer) append(op byte, payload []byte) {
	if n := len(p.streams); n > 0 && p.streams[n-1].op == op {
		p.streams[n-1].data = append(p.streams[n-1].data, payload...)
		return
	}
	p.streams = append(p.streams, stream{op, payload})
}

// cut waits until take finds a complete item at the beginning of the received messages of a
// kind, and removes it.
func (p *peer) cut(op byte, deadline time.Time, take func(data []byte) (n int, err error)) (string, error) {
	for {
		if err := p.expectKind(op); err != nil {
			return "", err
		}
		if len(p.streams) > 0 {
			data := p.streams[0].data
			n, err := take(data)
			if err != nil {
				return "", err
			}
			if n > 0 {
				p.discard(n)
				return string(data[:n]), nil
			}
		}
		if p.gotClose {
			return "", fmt.Errorf("closed with %d %q behind %q", p.code, p.reason, p.untaken())
		}
		if err := p.read(deadline); err != nil {
			return "", fmt.Errorf("%w; there is %q", err, p.untaken())
		}
	}
}

// discard removes the first n received bytes.
func (p *peer) discard(n int) {
	p.streams[0].data = p.streams[0].data[n:]
	if len(p.streams[0].data) == 0 {
		p.streams = p.streams[1:]
	}
}

func (p *peer) expectKind(op byte) error {
	if len(p.streams) > 0 && p.streams[0].op != op {
		return fmt.Errorf("a message with opcode %d where one with %d is due: %q", p.streams[0].op, op, p.streams[0].data)
	}
	return nil
}

func (p *peer) untaken() string {
	var b strings.Builder
	for _, s := range p.streams {
		b.Write(s.data)
	}
	if b.Len() > 500 {
		return b.String()[:500] + "…"
	}
	return b.String()
}

const separator = 0x1E

// record waits for one hub message in text, without its separator.
func (p *peer) record(deadline time.Time) (string, error) {
	got, err := p.cut(opText, deadline, func(data []byte) (int, error) {
		return bytes.IndexByte(data, separator) + 1, nil
	})
	return strings.TrimSuffix(got, string(rune(separator))), err
}

// packed waits for one MessagePack message with its length prefix. The handshake response
// counts as one.
func (p *peer) packed(deadline time.Time) (string, error) {
	return p.cut(opBinary, deadline, func(data []byte) (int, error) {
		n := packedLength(data, !p.handshake)
		if n > 0 {
			p.handshake = true
		}
		return n, nil
	})
}

// packedLength returns the length of the first message, or 0 if it is incomplete.
func packedLength(data []byte, handshake bool) int {
	if handshake {
		return bytes.IndexByte(data, separator) + 1
	}
	length, prefix := binary.Uvarint(data)
	if prefix <= 0 || uint64(len(data)-prefix) < length {
		return 0
	}
	return prefix + int(length)
}

// awaitEnd waits until the server ends TCP, and returns the way in which it did. Only pings
// and hub messages may arrive before that.
func (p *peer) awaitEnd(deadline time.Time) (string, error) {
	for had := p.gotClose; p.end == nil; {
		if err := p.read(deadline); err != nil && p.end == nil {
			return "", fmt.Errorf("the server does not end TCP: %w", err)
		}
		if p.gotClose && !had {
			return "", fmt.Errorf("a close frame with %d %q where TCP was to end", p.code, p.reason)
		}
	}
	return ending(p.end), nil
}
