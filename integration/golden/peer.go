package golden

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// A peer is a client of a hub on a WebSocket.
type peer struct {
	*websocket
	known     *bindings
	hub       string // path
	handshake bool   // the handshake response has arrived
	stateful  bool
	raw       []byte // frames for a single write
	overtaken bool   // ASP.NET Core's reset arrived and discarded its close frame
	away      bool   // the transcript no longer expects it to be open
	acked     int64
}

const separator = 0x1E

// Pings arrive at times that the server chooses, between its other messages.
const (
	ping       = `{"type":6}`
	packedPing = "\x02\x91\x06"
)

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

// message returns the next message. It skips messages that the server sends at times of its
// own, unless one of them is expected.
func (p *peer) message(want string) (string, error) {
	deadline := time.Now().Add(patience)
	for {
		got, err := p.record(deadline)
		if err != nil || !p.mayBeSkipped(got, want) {
			return got, err
		}
	}
}

// mayBeSkipped reports whether a message may be skipped while another one is expected.
func (p *peer) mayBeSkipped(got, want string) bool {
	if got == ping {
		return want != ping
	}
	n, isAck := sequenceID(got)
	if !isAck || !p.stateful {
		return false
	}
	p.acked = n
	awaited, wantsAck := sequenceID(want)
	return !wantsAck || n < awaited
}

// skipAcks skips acknowledgements and pings at the front, because their times are the
// server's choice.
func (p *peer) skipAcks() {
	for len(p.streams) > 0 {
		record, _, ok := strings.Cut(string(p.streams[0].data), "\x1e")
		if !ok || !p.mayBeSkipped(record, "") {
			return
		}
		p.discard(len(record) + 1)
	}
}

// sequenceID parses the sequence id of an acknowledgement.
func sequenceID(record string) (int64, bool) {
	number, ok := strings.CutPrefix(record, `{"type":8,"sequenceId":`)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(number, "}"), 10, 64)
	return n, err == nil
}
