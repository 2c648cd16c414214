package golden

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// open makes a WebSocket and the hub handshake on it.
func (s *session) open(st, _ Step) error {
	path := st.text("open")
	if err := s.websocket(Step{"websocket": quote(path + "?id=<token>"), "on": quote(st.on())}, nil); err != nil {
		return err
	}
	protocol, version := st.text("protocol"), value[int](st, "version")
	if protocol == "" {
		protocol = "json"
	}
	if version == 0 {
		version = 1
	}
	p := s.peers[st.on()]
	if err := p.frame(final|opText, true, fmt.Appendf(nil, "{\"protocol\":%q,\"version\":%d}\x1e", protocol, version)); err != nil {
		return err
	}
	p.protocol, p.stateful = protocol, version == 2
	read := p.record
	if protocol == "messagepack" {
		read = p.packed
	}
	got, err := read(time.Now().Add(patience))
	if err != nil {
		return fmt.Errorf("hub handshake: %w", err)
	}
	p.handshake, s.shaken = true, true
	if strings.TrimSuffix(got, "\x1e") != "{}" {
		return fmt.Errorf("hub handshake: %q", got)
	}
	return nil
}

// websocket sends a WebSocket handshake. Where no answer is recorded, it has to succeed.
func (s *session) websocket(st, next Step) error {
	target := st.text("websocket")
	headers, err := s.headers(st, upgradeHeaders(), target)
	if err != nil {
		return err
	}
	path, err := s.expand(target, hubPath(target))
	if err != nil {
		return err
	}
	x, err := send(s.addr, request{method: "GET", path: path, proto: "HTTP/1.1", headers: headers})
	if err != nil {
		return err
	}
	s.forget(st.on())
	s.exchanges[st.on()] = x
	if st.text("answer") == "later" || next.has("response") && next.on() == st.on() {
		return nil
	}
	return s.response(Step{"response": quote("101 Switching Protocols"), "on": quote(st.on())}, nil)
}

// upgraded makes a WebSocket of an exchange.
func (s *session) upgraded(on string, x *exchange) {
	delete(s.exchanges, on)
	hub := hubPath(x.request.path)
	stateful := allowsStateful(hub)
	s.peers[on] = &peer{socket: x.socket, hub: hub, stateful: stateful, handshake: stateful && s.shaken}
}

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
	err = p.frame(final|opText, true, []byte(text))
	s.sent(string(st["send"]), next)
	return ifAlive(p, err)
}

// sent is what follows every sending.
func (s *session) sent(what string, next Step) {
	s.answered(what)
	if next.has("send") || next.has("sendHex") || next.has("client") {
		time.Sleep(betweenSends) // so that the server reads one before the other, as it did
	}
}

// ifAlive leaves out the failure to write to a server that has ended the connection: what it sent before is still to be read.
func ifAlive(p *peer, err error) error {
	if err != nil {
		p.away = true
	}
	return nil
}

// The question whether a connection is alive, and its answer, in both protocols.
const (
	aliveQuestion = `{"type":1,"invocationId":"9","target":"%s","arguments":["alive"]}`
	aliveAnswer   = `{"type":3,"invocationId":"9","result":"alive"}`
	alivePacked   = "12960180a139a4%s91a5616c69766590"
)

// aliveMethod is the method that returns its argument.
func aliveMethod(hub string) string {
	if strings.HasPrefix(hub, "/lab") {
		return "Text"
	}
	return "Echo"
}

// messages writes hub messages with their separators.
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
	err = p.frame(final|opBinary, true, []byte(data))
	s.sent(st.text("sendHex"), next)
	return ifAlive(p, err)
}

// sendFrame sends one frame as it is told; several go out in one write.
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
		b, err := firstByte(st.text("first"))
		if err != nil {
			return err
		}
		first = b
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

func (s *session) recvPong(st, _ Step) error {
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	got, err := p.pong(time.Now().Add(patience))
	if err != nil {
		return err
	}
	if want := st.text("recvPong"); got != want {
		return fmt.Errorf("pong %q, want %q", got, want)
	}
	return nil
}

func (p *peer) pong(deadline time.Time) (string, error) {
	for len(p.pongs) == 0 {
		if err := p.read(deadline); err != nil {
			return "", err
		}
	}
	first := p.pongs[0]
	p.pongs = p.pongs[1:]
	return first, nil
}

// recvClose waits for the server's close frame; nothing else may come before it.
func (s *session) recvClose(st, _ Step) error {
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	return p.awaitClose(value[int](st, "recvClose"))
}

func (p *peer) awaitClose(code int) error {
	deadline := time.Now().Add(patience)
	p.away = true
	for !p.gotClose {
		err := p.read(deadline)
		if err != nil && violated(code) && Original && ending(err) == "reset" {
			return nil // its reset may overtake the close frame
		}
		if err != nil {
			return fmt.Errorf("no close frame: %w; there is %q", err, p.untaken())
		}
	}
	if p.said {
		p.skipFarewell()
	}
	if err := p.nothingLeft(); err != nil {
		return err
	}
	if p.code != code || p.reason != "" {
		return fmt.Errorf("close frame with %d %q, want %d", p.code, p.reason, code)
	}
	return nil
}

// violated tells whether a close code says that the WebSocket protocol was violated.
func violated(code int) bool { return code == 1002 || code == 1007 }

// skipFarewell leaves out the close message that a server may or may not send when the client has closed the WebSocket.
func (p *peer) skipFarewell() {
	const farewell = `{"type":7,"allowReconnect":true}` + "\x1e"
	if len(p.streams) > 0 && string(p.streams[0].data) == farewell {
		p.drop(len(farewell))
	}
}

// closed waits for the whole orderly end: close frame, its answer, the end of TCP.
func (s *session) closed(st, _ Step) error {
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	if err := p.awaitClose(value[int](st, "closed")); err != nil {
		return err
	}
	s.ended = true
	if !p.said {
		_ = p.closeFrame(p.code) // a server that waits for no answer may be gone
	}
	_, err = p.awaitEnd(time.Now().Add(patience))
	return err
}

// recvEnd waits for the end of TCP without a close frame, or behind one that was received.
func (s *session) recvEnd(st, _ Step) error {
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	p.away, s.ended = true, true
	if Original && p.said && !p.gotClose && p.end != nil {
		return nil // the case of awaitClose
	}
	deadline := time.Now().Add(patience)
	for p.end == nil {
		if err := p.read(deadline); err != nil && p.end == nil {
			return err
		}
		if p.gotClose && p.code == 0 {
			return fmt.Errorf("a close frame without a code")
		}
	}
	if err := p.nothingLeft(); err != nil {
		return err
	}
	if p.gotClose && p.said {
		return nil // the client's last frame crossed the end, and eof or reset is a race
	}
	if got, want := ending(p.end), st.text("recvEnd"); got != want {
		return fmt.Errorf("TCP ended by %s, want %s", got, want)
	}
	return nil
}

func (s *session) recvNothing(st, _ Step) error {
	wait, err := duration(st.text("recvNothing"))
	if err != nil {
		return err
	}
	if x, ok := s.exchanges[st.on()]; ok {
		if err := x.more(time.Now().Add(wait)); err != errQuiet {
			return fmt.Errorf("something came: %q (%w)", x.body, err)
		}
		return nil
	}
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	return p.quiet(wait, st)
}

func (p *peer) quiet(wait time.Duration, st Step) error {
	deadline := time.Now().Add(wait)
	for {
		err := p.read(deadline)
		if err != nil && err != errQuiet {
			return err
		}
		if value[bool](st, "butAcks") {
			p.skipAcks()
		}
		if left := p.nothingLeft(); left != nil {
			return left
		}
		if err == errQuiet {
			return nil
		}
	}
}

// nothingLeft checks that what came was taken, but for pings.
func (p *peer) nothingLeft() error {
	for len(p.streams) > 0 {
		data := string(p.streams[0].data)
		switch {
		case strings.HasPrefix(data, ping+"\x1e"):
			p.drop(len(ping) + 1)
		case p.streams[0].op == opBinary && strings.HasPrefix(data, packedPing):
			p.drop(len(packedPing))
		default:
			return fmt.Errorf("more than was to come: %q", p.untaken())
		}
	}
	return nil
}

// leave ends a case: connections that should be alive are, and nothing came that was not recorded.
func (s *session) leave() error {
	if err := s.flush(); err != nil {
		return err
	}
	for on, p := range s.peers {
		if p.away || p.said || p.gotClose {
			continue
		}
		if err := p.frame(final|opPing, true, []byte("end")); err != nil {
			return fmt.Errorf("at the end, on %q: %w", on, err)
		}
		if _, err := p.pong(time.Now().Add(patience)); err != nil {
			return fmt.Errorf("at the end, on %q: %w", on, err)
		}
		p.skipAcks()
		if err := p.nothingLeft(); err != nil {
			return fmt.Errorf("at the end, on %q: %w", on, err)
		}
	}
	return nil
}

// skipAcks leaves out acknowledgements and pings at the front: their clock is the server's own.
func (p *peer) skipAcks() {
	for len(p.streams) > 0 {
		record, _, ok := strings.Cut(string(p.streams[0].data), "\x1e")
		if !ok || !p.notAsked(record, "") {
			return
		}
		p.drop(len(record) + 1)
	}
}

// sequenceID reads the number of an acknowledgement.
func sequenceID(record string) (int64, bool) {
	number, ok := strings.CutPrefix(record, `{"type":8,"sequenceId":`)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(number, "}"), 10, 64)
	return n, err == nil
}
