package golden

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

func (p *peer) recvPong(st, _ Step) error {
	got, err := p.pong(time.Now().Add(patience))
	if want := st.text("recvPong"); err == nil && got != want {
		return fmt.Errorf("pong %q, want %q", got, want)
	}
	return err
}

// recvClose waits for the server's close frame. No other data may arrive before it.
func (p *peer) recvClose(st, _ Step) error {
	return p.awaitClose(value[int](st, "recvClose"))
}

func (p *peer) awaitClose(code int) error {
	deadline := time.Now().Add(patience)
	p.away = true
	for !p.gotClose {
		err := p.read(deadline)
		p.overtaken = Original && isViolation(code) && p.end != nil && ending(p.end) == "reset"
		if err != nil && !p.overtaken {
			return fmt.Errorf("no close frame: %w; there is %q", err, p.untaken())
		}
		if p.overtaken {
			return nil
		}
	}
	if p.said {
		p.skipCloseMessage()
	}
	if err := p.nothingLeft(); err != nil {
		return err
	}
	if p.code != code || p.reason != "" {
		return fmt.Errorf("close frame with %d %q, want %d", p.code, p.reason, code)
	}
	return nil
}

// isViolation reports whether a close code means a violation of the WebSocket protocol.
func isViolation(code int) bool { return code == 1002 || code == 1007 }

// skipCloseMessage skips the Close message that a server may send after the client has closed
// the WebSocket.
func (p *peer) skipCloseMessage() {
	const farewell = `{"type":7,"allowReconnect":true}` + "\x1e"
	if len(p.streams) > 0 && string(p.streams[0].data) == farewell {
		p.discard(len(farewell))
	}
}

// closed waits for the complete closing handshake: the close frame, its answer, and the end
// of TCP.
func (p *peer) closed(st, _ Step) error {
	if err := p.awaitClose(value[int](st, "closed")); err != nil {
		return err
	}
	if !p.said {
		_ = p.closeFrame(p.code) // a server that does not wait for the answer may have closed
	}
	_, err := p.awaitEnd(time.Now().Add(patience))
	return err
}

// recvEnd waits for the end of TCP, without a close frame or after a received one.
func (p *peer) recvEnd(st, _ Step) error {
	p.away = true
	if p.overtaken {
		return nil
	}
	got, err := p.awaitEnd(time.Now().Add(patience))
	if err != nil {
		return err
	}
	if err := p.nothingLeft(); err != nil {
		return err
	}
	// When a last frame of the client crossed the end, eof or reset is a race.
	if want := st.text("recvEnd"); got != want && (!p.gotClose || !p.said) {
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
		if err := x.more(time.Now().Add(wait)); !errors.Is(err, errQuiet) {
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
		if err != nil && !errors.Is(err, errQuiet) {
			return err
		}
		if value[bool](st, "butAcks") {
			p.skipAcks()
		}
		if left := p.nothingLeft(); left != nil {
			return left
		}
		if errors.Is(err, errQuiet) {
			return nil
		}
	}
}

// nothingLeft checks that all received messages but pings were taken.
func (p *peer) nothingLeft() error {
	for len(p.streams) > 0 {
		data := string(p.streams[0].data)
		switch {
		case strings.HasPrefix(data, ping+"\x1e"):
			p.discard(len(ping) + 1)
		case p.streams[0].op == opBinary && strings.HasPrefix(data, packedPing):
			p.discard(len(packedPing))
		default:
			return fmt.Errorf("more than was to come: %q", p.untaken())
		}
	}
	return nil
}

// leave checks, at the end of a case, that a connection that should be open is, and that no
// unrecorded message arrived.
func (p *peer) leave() error {
	if p.away || p.said || p.gotClose {
		return nil
	}
	if err := p.frame(opPing, []byte("end")); err != nil {
		return err
	}
	if _, err := p.pong(time.Now().Add(patience)); err != nil {
		return err
	}
	p.skipAcks()
	return p.nothingLeft()
}
