package golden

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// send sends hub messages, or a text, in one text message.
func (p *peer) send(st, next Step) error {
	var text string
	var err error
	if raw := st["send"]; raw[0] == '[' {
		text, err = p.known.messages(value[[]json.RawMessage](st, "send"), p.hub)
	} else {
		text = fill(st.text("send"), value[int](st, "length"))
	}
	if err != nil {
		return err
	}
	p.sendMessage(opText, text, string(st["send"]), next)
	return nil
}

// sendMessage sends a message, which the transcript writes as text, and pauses if the next step
// needs it.
func (p *peer) sendMessage(op byte, message, text string, next Step) {
	p.ignoreEnd(p.frame(op, []byte(message)))
	p.known.answered(text)
	if next.has("send") || next.has("sendHex") || next.has("client") {
		time.Sleep(betweenSends) // so that the server reads them separately, as recorded
	}
}

// ignoreEnd ignores a failure to write if the server has ended the connection: the data that it
// sent earlier must still be read.
func (p *peer) ignoreEnd(err error) { p.away = p.away || err != nil }

func (p *peer) sendHex(st, next Step) error {
	data, err := p.known.packedBytes(st.text("sendHex"), p.hub, value[int](st, "length"))
	if err != nil {
		return err
	}
	p.sendMessage(opBinary, data, st.text("sendHex"), next)
	return nil
}

// sendFrame sends one frame literally. Consecutive frames are sent in one write.
func (p *peer) sendFrame(st, _ Step) error {
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
	p.away = p.away || !masked
	p.raw = append(p.raw, encodeFrame(first, masked, []byte(payload))...)
	p.said = p.said || first&0xF == opClose
	return nil
}

// flush writes the frames that sendFrame collected.
func (p *peer) flush() error {
	if p.raw == nil {
		return nil
	}
	err := p.write(p.raw)
	p.raw = nil
	return err
}

func (p *peer) sendClose(st, _ Step) error {
	p.ignoreEnd(p.closeFrame(value[int](st, "sendClose")))
	return nil
}

// sendUntil repeats a message, which the server answers with the same text each time, until
// another message arrives.
func (p *peer) sendUntil(st, _ Step) error {
	until := string(value[json.RawMessage](st, "sendUntil"))
	question, answer := st["message"], string(st["answer"])
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if err := p.frame(opText, append([]byte(question), separator)); err != nil {
			return err
		}
		came := false
		for got := ""; got != answer; came = came || got == until {
			var err error
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
