package golden

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// recv compares hub messages in text, in order, however they are split into WebSocket
// messages. Where the order is a race (loose.go), it takes all consecutive recv steps
// together.
func (s *session) recv(steps []Step) (int, error) {
	st := steps[0]
	p, err := s.peer(st)
	if err != nil {
		return 0, err
	}
	if raw := st["recv"]; raw[0] == '"' {
		return 1, p.recvText(st)
	}
	order := s.order(st)
	if order == inOrder {
		return 1, p.recvOrdered(value[[]json.RawMessage](st, "recv"))
	}
	var all []json.RawMessage
	n := 0
	for ; n < len(steps) && steps[n].has("recv") && steps[n].on() == st.on() && s.order(steps[n]) == order; n++ {
		all = append(all, value[[]json.RawMessage](steps[n], "recv")...)
	}
	return n, p.recvLoose(all, order)
}

func (p *peer) recvOrdered(list []json.RawMessage) error {
	for _, want := range list {
		if err := p.recvOne(wanted(want)); err != nil {
			return err
		}
	}
	return nil
}

func wanted(m json.RawMessage) string {
	if string(m) == `"<alive!>"` {
		return aliveAnswer
	}
	return string(m)
}

// recvOne compares the next message.
func (p *peer) recvOne(want string) error {
	if n, ok := sequenceID(want); ok && p.acked == n {
		return nil // it arrived earlier than recorded
	}
	got, err := p.message(want)
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", want, err)
	}
	return p.known.match(want, got)
}

// recvLoose compares messages in an uncertain order: each must match one of the recorded
// messages.
func (p *peer) recvLoose(list []json.RawMessage, order order) error {
	var left []string
	for _, m := range list {
		left = append(left, wanted(m))
	}
	for len(left) > 0 {
		got, err := p.message("")
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", left, err)
		}
		at := p.known.find(got, left, order)
		if at < 0 {
			return fmt.Errorf("none of those that are due:\n\tgot  %s\n\twant %s", got, strings.Join(left, "\n\t     "))
		}
		left = append(left[:at:at], left[at+1:]...)
	}
	return nil
}

// find returns the index of the recorded message that arrived. With byID, only the first
// message of each invocation can be next.
func (b *bindings) find(got string, left []string, order order) int {
	if order == byIDLast && len(left) > 1 {
		left = left[:len(left)-1]
	}
	tried := map[string]bool{}
	for i, want := range left {
		if order != anyOrder {
			about := invocation(want)
			if tried[about] {
				continue
			}
			tried[about] = true
		}
		if b.match(want, got) == nil {
			return i
		}
	}
	return -1
}

var idOrTarget = regexp.MustCompile(`"(?:invocationId|target)":"((?:[^"\\]|\\.)*)"`)

// invocation returns the invocation id of a message, or the method that it invokes on the
// client.
func invocation(message string) string { return idOrTarget.FindString(message) }

// recvText compares a text literally.
func (p *peer) recvText(st Step) error {
	want, length := st.text("recv"), value[int](st, "length")
	deadline := time.Now().Add(patience)
	if length > 0 {
		got, err := p.exactly(length, opText, deadline)
		if err != nil {
			return err
		}
		return matchShort(want, length, got)
	}
	_, err := p.cut(opText, deadline, func(data []byte) (int, error) { return prefixLength(data, want) })
	return err
}

// prefixLength returns the length of the data whose text is want, where invalid UTF-8 reads
// as U+FFFD. It returns 0 if there is not enough data.
func prefixLength(data []byte, want string) (int, error) {
	n := 0
	for _, r := range want {
		if n == len(data) {
			return 0, nil
		}
		got, size := utf8.DecodeRune(data[n:])
		if got != r {
			return 0, differ(want, string(data))
		}
		n += size
	}
	return n, nil
}

// recvCounted takes a number of messages with a total size, not counting acknowledgements.
func (p *peer) recvCounted(st, _ Step) error {
	bytes := 0
	for range value[int](st, "recvCounted") {
		got, err := p.message("")
		if err != nil {
			return err
		}
		bytes += len(got) + 1
	}
	if want := value[int](st, "bytes"); bytes != want {
		return fmt.Errorf("%d bytes, want %d", bytes, want)
	}
	return nil
}
