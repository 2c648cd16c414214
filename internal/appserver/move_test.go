package appserver

import (
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

func isPing(key, value string) func(*serviceprotocol.Message) bool {
	return func(m *serviceprotocol.Message) bool {
		return m.Type == serviceprotocol.Ping && len(m.Pairs) == 2 && m.Pairs[0] == key && m.Pairs[1] == value
	}
}

func shutdown(fin string) *serviceprotocol.Message {
	return &serviceprotocol.Message{Type: serviceprotocol.Ping, Pairs: []string{"shutdown", fin}}
}

// eventually waits until a condition about the servers holds.
func (p *place) eventually(holds func(s *Servers) bool) {
	p.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { //nolint:forbidigo // polls what gives no sign
		p.servers.mu.Lock()
		ok := holds(p.servers)
		p.servers.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			p.Fatal("it did not happen")
		}
	}
}

func (p *place) homeless(n int) {
	p.Helper()
	p.eventually(func(s *Servers) bool { return len(s.homeless) == n })
}

func TestClientThatFoundAServerWaitsNoLonger(t *testing.T) {
	p := newPlace(t, ServersOptions{Hold: time.Hour})
	first := p.server("a", serviceprotocol.MigrateAlways)
	u := p.client()
	_ = first.socket.Close()
	p.homeless(1)
	u.invoke("1")
	p.servers.mu.Lock()
	var timer *time.Timer
	for _, timer = range p.servers.homeless {
	}
	p.servers.mu.Unlock()
	p.server("b", serviceprotocol.MigrateAlways)
	u.hear(`{"type":3,"invocationId":"1","result":null}`)
	if timer.Stop() {
		t.Error("the end of the wait still comes")
	}
}

func TestClientsThatWaitTooLongReconnect(t *testing.T) {
	p := newPlace(t, ServersOptions{Hold: time.Millisecond})
	first := p.server("a", serviceprotocol.MigrateAlways)
	u := p.client()
	_ = first.socket.Close()
	u.waitEnd()
}

func TestWaitingClientsEndWithTheHub(t *testing.T) {
	p := newPlace(t, ServersOptions{Hold: time.Hour})
	first := p.server("a", serviceprotocol.MigrateAlways)
	p.client()
	_ = first.socket.Close()
	p.homeless(1) // newPlace checks that nothing is left
}

// Each connection of a server that leaves is told when the clients of all have moved.
func TestServerThatLeavesIsToldWhenItsClientsHaveMoved(t *testing.T) {
	p := newPlace(t, ServersOptions{})
	a1, a2 := p.server("a", serviceprotocol.MigrateInOrder), p.server("a", serviceprotocol.MigrateInOrder)
	u, v := p.client(), p.client()
	b := p.server("b", serviceprotocol.MigrateInOrder)
	a1.setMute(true)
	a2.setMute(true)
	u.invoke("open")
	busy, other := a1, a2
	p.eventually(func(*Servers) bool {
		for _, f := range []*fake{a1, a2} {
			f.mu.Lock()
			last := f.heard[len(f.heard)-1]
			f.mu.Unlock()
			if strings.Contains(string(last.Data), "open") {
				if f == a2 {
					busy, other = a2, a1
				}
				return true
			}
		}
		return false
	})
	for _, f := range []*fake{other, busy} {
		f.say(shutdown("fin:0"))
	}
	v.call("1") // by the other server
	u.invoke("2")
	m := busy.hearData("open")
	busy.say(&serviceprotocol.Message{Type: serviceprotocol.ConnectionData, Connection: m.Connection, Data: []byte("{\"type\":3,\"invocationId\":\"open\"}\x1e")})
	u.hear(`{"type":3,"invocationId":"open"}`)
	u.hear(`{"type":3,"invocationId":"2","result":null}`)
	b.hearData(`"2"`)
	for _, f := range []*fake{busy, other} {
		_, at := f.hear(isPing("shutdown", "finack"))
		_, closed := f.hear(func(m *serviceprotocol.Message) bool { return m.Type == serviceprotocol.CloseConnection })
		if at < closed {
			t.Error("a server was told to end before its client had moved")
		}
	}
}

func TestServerThatIsLostWhileItTakesAClientOver(t *testing.T) {
	p := newPlace(t, ServersOptions{})
	a := p.server("a", serviceprotocol.MigrateAlways)
	u := p.client()
	a.setMute(true)
	u.invoke("1")
	a.hearData(`"1"`)
	_ = a.socket.Close()
	p.homeless(1)
	u.hear(`{"type":3,"invocationId":"1","error":"` + errLostText + `"}`)
	u.invoke("2")
	b := p.server("b", serviceprotocol.MigrateAlways)
	b.setMute(true)
	u.invoke("3")
	b.hearData(`"3"`)
	_ = b.socket.Close()
	p.server("c", serviceprotocol.MigrateAlways)
	u.call("4")
}

func TestClientThatCannotBeFollowedWhileItWaitsReconnects(t *testing.T) {
	p := newPlace(t, ServersOptions{Hold: time.Hour})
	a := p.server("a", serviceprotocol.MigrateAlways)
	u := p.client()
	_ = a.socket.Close()
	p.homeless(1)
	u.say("no message")
	u.waitEnd()
}

// What waits for a server that does not read stops neither its reader nor the moves of its clients.
func TestClientOfAFullServerMoves(t *testing.T) {
	p := newPlace(t, ServersOptions{})
	p.server("a", serviceprotocol.MigrateAlways)
	u := p.client()
	p.servers.mu.Lock()
	var c *client
	for _, c = range p.servers.clients {
	}
	full := newLink(p.servers, "full", c.link.socket)
	full.migrate = serviceprotocol.MigrateAlways
	p.servers.mu.Unlock()
	full.out.pending = make([]byte, slowAt)
	c.order.Lock()
	p.servers.mu.Lock()
	delete(c.link.clients, c.relayed.ConnectionID())
	c.link = full
	full.clients[c.relayed.ConnectionID()] = c
	p.servers.mu.Unlock()
	c.order.Unlock()
	u.invoke("1")
	p.servers.idle(c) // it would wait for room
	p.servers.lost(c, full)
	full.out.end(errLost)
	u.hear(`{"type":3,"invocationId":"1","result":null}`)
}

func TestClientsWaitUntilAServerHasRoom(t *testing.T) {
	p := newPlace(t, ServersOptions{Hold: time.Hour})
	a := p.server("a", serviceprotocol.MigrateAlways)
	u := p.client()
	p.server("b", serviceprotocol.MigrateAlways)
	p.servers.mu.Lock()
	b := p.servers.links[1]
	p.servers.mu.Unlock()
	fill := func(n int) {
		b.out.mu.Lock()
		defer b.out.mu.Unlock()
		b.out.pending = serviceprotocol.Append(nil, &serviceprotocol.Message{Type: serviceprotocol.ServiceError, Text: strings.Repeat("x", n)})
	}
	fill(slowAt) // the writer does not know of it before its next ping
	_ = a.socket.Close()
	p.homeless(1)
	b.out.written.Notify()
	u.call("1")
}
