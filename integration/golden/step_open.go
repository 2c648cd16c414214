package golden

import (
	"fmt"
	"strings"
	"time"
)

// open opens a WebSocket and performs the hub handshake.
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
	if err := p.frame(opText, fmt.Appendf(nil, "{\"protocol\":%q,\"version\":%d}\x1e", protocol, version)); err != nil {
		return err
	}
	p.stateful = version == 2
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

// websocket sends a WebSocket handshake. It must succeed if no answer is recorded.
func (s *session) websocket(st, next Step) error {
	target := st.text("websocket")
	headers, err := s.known.headers(st, upgradeHeaders(), target)
	if err != nil {
		return err
	}
	path, err := s.known.expand(target, hubPath(target))
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

// upgraded turns an exchange into a WebSocket.
func (s *session) upgraded(on string, x *exchange) {
	delete(s.exchanges, on)
	hub := hubPath(x.request.path)
	stateful := allowsStateful(hub)
	s.peers[on] = &peer{
		websocket: &websocket{socket: x.socket}, known: s.known,
		hub: hub, stateful: stateful, handshake: stateful && s.shaken,
	}
}
