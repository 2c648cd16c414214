package loadgen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/carillon-go/carillon/protocol"
)

// messages holds the messages of a run, encoded once, and decodes received ones.
type messages struct {
	protocol  protocol.HubProtocol
	handshake []byte
	ping      []byte
	calls     [][]byte // one for each slot in flight; the slot is the invocation id
}

func newMessages(o Options) (*messages, error) {
	m := &messages{protocol: protocol.NewJSON(protocol.JSONOptions{})}
	if o.Protocol == "messagepack" {
		m.protocol = protocol.NewMessagePack()
	}
	m.handshake = protocol.AppendHandshakeRequest(nil, protocol.HandshakeRequest{Protocol: m.protocol.Name(), Version: 1})
	m.ping = m.protocol.AppendPing(nil)
	if o.Mode != Echo {
		return m, nil
	}
	text := strings.Repeat("0123456789abcdef", o.Payload/16+1)[:o.Payload]
	for slot := range o.InFlight {
		call, err := m.protocol.AppendInvocation(nil, strconv.Itoa(slot), o.Method, nil, nil, text)
		if err != nil {
			return nil, err
		}
		m.calls = append(m.calls, call)
	}
	return m, nil
}

// kind is a kind of received message.
type kind int

const (
	other kind = iota // pings and other messages that are ignored
	invocation
	completion
	failure // a completion with an error
	closing
)

// scratch is a buffer that one connection's goroutine reuses to decode the messages that
// the fast paths do not recognize.
type scratch = protocol.Message

// classify returns the kind of a record and the slot of a completion. It recognizes the
// usual spellings without parsing the whole record.
func (m *messages) classify(record []byte, s *scratch) (k kind, slot int, err error) {
	if !m.protocol.Binary() {
		if k, slot, ok := classifyJSON(record); ok {
			return k, slot, nil
		}
	} else if k, slot, ok := classifyPacked(record); ok {
		return k, slot, nil
	}
	return m.parse(record, s)
}

func (m *messages) parse(record []byte, s *scratch) (k kind, slot int, err error) {
	if err := m.protocol.Parse(record, s); err != nil {
		return other, 0, fmt.Errorf("a message that cannot be read: %w", err)
	}
	switch s.Type {
	case protocol.Invocation:
		return invocation, 0, nil
	case protocol.Completion:
		if s.Error != "" {
			return failure, 0, errors.New(s.Error)
		}
		slot, _ := strconv.Atoi(s.InvocationID)
		return completion, slot, nil
	case protocol.Close:
		return closing, 0, errors.New("the server closed the connection: " + s.Error)
	}
	return other, 0, nil
}

var (
	jsonInvocation = []byte(`{"type":1,`)
	jsonCompletion = []byte(`{"type":3,"invocationId":"`)
	jsonPing       = []byte(`{"type":6}`)
	jsonResult     = []byte(`","result":`)
)

func classifyJSON(record []byte) (k kind, slot int, ok bool) {
	switch {
	case bytes.HasPrefix(record, jsonInvocation):
		return invocation, 0, true
	case bytes.HasPrefix(record, jsonCompletion):
		slot, n := number(record[len(jsonCompletion):])
		return completion, slot, bytes.HasPrefix(record[len(jsonCompletion)+n:], jsonResult)
	case bytes.Equal(record, jsonPing):
		return other, 0, true
	}
	return other, 0, false
}

// classifyPacked recognizes [1, …] and [3, {}, "slot", 3, result].
func classifyPacked(record []byte) (k kind, slot int, ok bool) {
	if len(record) < 2 || record[0]&0xf0 != 0x90 {
		return other, 0, false
	}
	switch record[1] {
	case byte(protocol.Invocation):
		return invocation, 0, true
	case byte(protocol.Ping):
		return other, 0, true
	case byte(protocol.Completion):
		if len(record) < 5 || record[2] != 0x80 || record[3]&0xe0 != 0xa0 {
			return other, 0, false
		}
		slot, n := number(record[4:])
		at := 4 + int(record[3]&0x1f)
		const withResult = 3
		return completion, slot, n == at-4 && at < len(record) && record[at] == withResult
	}
	return other, 0, false
}

// number reads the digits at the beginning of text. A number that is too large for a slot is mostSlot.
func number(text []byte) (n, digits int) {
	const mostSlot = math.MaxInt32
	for digits < len(text) && isDigit(text[digits]) {
		d := int(text[digits] - '0')
		if n > (mostSlot-d)/10 {
			n = mostSlot
		} else {
			n = n*10 + d
		}
		digits++
	}
	return n, digits
}

// next splits the first record off buf. It returns nil if the record is incomplete.
func (m *messages) next(buf []byte) (record, rest []byte, err error) {
	if m.protocol.Binary() {
		return nextPacked(buf)
	}
	end := bytes.IndexByte(buf, separator)
	if end < 0 {
		return nil, buf, nil
	}
	return buf[:end], buf[end+1:], nil
}

const separator = 0x1e

func nextPacked(buf []byte) (record, rest []byte, err error) {
	length, n := binary.Uvarint(buf)
	if n < 0 || length > longestBody {
		return nil, nil, errors.New("a message without an end")
	}
	if n == 0 || uint64(len(buf)-n) < length { //nolint:gosec // not negative
		return nil, buf, nil
	}
	return buf[n : n+int(length)], buf[n+int(length):], nil //nolint:gosec // bounded above
}
