package golden

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Pings arrive at times that the server chooses, between its other messages.
const (
	ping       = `{"type":6}`
	packedPing = "\x02\x91\x06"
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
		return 1, s.recvText(p, st)
	}
	order := s.order(st)
	if order == inOrder {
		return 1, s.recvOrdered(p, value[[]json.RawMessage](st, "recv"))
	}
	var all []json.RawMessage
	n := 0
	for ; n < len(steps) && steps[n].has("recv") && steps[n].on() == st.on() && s.order(steps[n]) == order; n++ {
		all = append(all, value[[]json.RawMessage](steps[n], "recv")...)
	}
	return n, s.recvLoose(p, all, order)
}

func (s *session) recvOrdered(p *peer, list []json.RawMessage) error {
	for _, want := range list {
		if err := s.recvOne(p, wanted(want)); err != nil {
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
func (s *session) recvOne(p *peer, want string) error {
	if n, ok := sequenceID(want); ok && p.acked == n {
		return nil // it arrived earlier than recorded
	}
	got, err := p.message(want)
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", want, err)
	}
	return s.known.match(want, got)
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

// recvLoose compares messages in an uncertain order: each must match one of the recorded
// messages.
func (s *session) recvLoose(p *peer, list []json.RawMessage, order order) error {
	var left []string
	for _, m := range list {
		left = append(left, wanted(m))
	}
	for len(left) > 0 {
		got, err := p.message("")
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", left, err)
		}
		at := s.find(got, left, order)
		if at < 0 {
			return fmt.Errorf("none of those that are due:\n\tgot  %s\n\twant %s", got, strings.Join(left, "\n\t     "))
		}
		left = append(left[:at:at], left[at+1:]...)
	}
	return nil
}

// find returns the index of the recorded message that arrived. With byID, only the first
// message of each invocation can be next.
func (s *session) find(got string, left []string, order order) int {
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
		if s.known.match(want, got) == nil {
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
func (s *session) recvText(p *peer, st Step) error {
	want, length := st.text("recv"), value[int](st, "length")
	deadline := time.Now().Add(patience)
	if length > 0 {
		got, err := p.cut(opText, deadline, func(data []byte) (int, error) {
			if len(data) < length {
				return 0, nil
			}
			return length, nil
		})
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
func (s *session) recvCounted(st, _ Step) error {
	p, err := s.peer(st)
	if err != nil {
		return err
	}
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

// sendUntil repeats a message, which the server answers with the same text each time, until
// another message arrives.
func (s *session) sendUntil(st, _ Step) error {
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	until := string(value[json.RawMessage](st, "sendUntil"))
	question, answer := st["message"], string(st["answer"])
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if err := p.frame(opText, append([]byte(question), separator)); err != nil {
			return err
		}
		came := false
		for got := ""; got != answer; came = came || got == until {
			if got, err = p.record(deadline); err != nil {
				return err
			}
		}
		if came {
			return nil
		}
		time.Sleep(settling) // the pace of the recorded client
	}
	return fmt.Errorf("%s never came", until)
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
