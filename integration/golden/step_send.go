package golden

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// send sends hub messages, or a text, in one text message.
func (s *session) send(st, next Step) error {
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	var text string
	if raw := st["send"]; raw[0] == '[' {
		text, err = s.messages(value[[]json.RawMessage](st, "send"), p.hub)
	} else {
		text = fill(st.text("send"), value[int](st, "length"))
	}
	if err != nil {
		return err
	}
	err = p.frame(opText, []byte(text))
	s.sent(string(st["send"]), next)
	return ifAlive(p, err)
}

// sent updates the session after a message was sent, and pauses if the next step needs it.
func (s *session) sent(what string, next Step) {
	s.answered(what)
	if next.has("send") || next.has("sendHex") || next.has("client") {
		time.Sleep(betweenSends) // so that the server reads them separately, as recorded
	}
}

// ifAlive ignores a failure to write if the server has ended the connection: the data that it
// sent earlier must still be read.
func ifAlive(p *peer, err error) error {
	if err != nil {
		p.away = true
	}
	return nil
}

// aliveQuestion and aliveAnswer test whether a connection is alive, in both protocols.
const (
	aliveQuestion = `{"type":1,"invocationId":"9","target":"%s","arguments":["alive"]}`
	aliveAnswer   = `{"type":3,"invocationId":"9","result":"alive"}`
	alivePacked   = "12960180a139a4%s91a5616c69766590"
)

// aliveMethod returns the name of the method that returns its argument.
func aliveMethod(hub string) string {
	if strings.HasPrefix(hub, "/lab") {
		return "Text"
	}
	return "Echo"
}

// messages returns hub messages with their separators.
func (s *session) messages(list []json.RawMessage, hub string) (string, error) {
	var b strings.Builder
	for _, m := range list {
		text := string(m)
		if text == `"<alive?>"` {
			text = fmt.Sprintf(aliveQuestion, aliveMethod(hub))
		}
		text, err := s.expand(text, hub)
		if err != nil {
			return "", err
		}
		b.WriteString(text + "\x1e")
	}
	return b.String(), nil
}

func (s *session) sendHex(st, next Step) error {
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	data, err := s.packedBytes(st.text("sendHex"), p.hub, value[int](st, "length"))
	if err != nil {
		return err
	}
	err = p.frame(opBinary, []byte(data))
	s.sent(st.text("sendHex"), next)
	return ifAlive(p, err)
}

// sendFrame sends one frame literally. Consecutive frames are sent in one write.
func (s *session) sendFrame(st, _ Step) error {
	payload := st.text("data")
	if st.has("hex") {
		b, err := unhex(st.text("hex"))
		if err != nil {
			return err
		}
		payload = b
	}
	first := byte(final | opText)
	switch {
	case st.has("first"):
		b, err := strconv.ParseUint(st.text("first"), 0, 8)
		if err != nil {
			return err
		}
		first = byte(b)
	case st.text("sendFrame") == "continuation":
		first = final | opContinuation
	}
	if st.has("fin") && !value[bool](st, "fin") {
		first &^= final
	}
	masked := !st.has("masked") || value[bool](st, "masked")
	s.peers[st.on()].away = s.peers[st.on()].away || !masked
	s.raw[st.on()] = append(s.raw[st.on()], encodeFrame(first, masked, []byte(payload))...)
	if first&0xF == opClose {
		s.peers[st.on()].said = true
		s.ended = true
	}
	return nil
}

// flush writes the frames that sendFrame collected.
func (s *session) flush() error {
	for on, raw := range s.raw {
		delete(s.raw, on)
		if err := s.peers[on].write(raw); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) sendClose(st, _ Step) error {
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	s.ended = true
	return ifAlive(p, p.closeFrame(value[int](st, "sendClose")))
}
