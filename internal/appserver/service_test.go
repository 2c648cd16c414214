package appserver

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"

	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// Servers that open connections and vanish fill neither the log nor the memory.
func TestServersThatVanish(t *testing.T) {
	p := newPlace(t, ServersOptions{})
	for range 200 {
		_ = p.dial("/server/", "a").Close()
	}
	for range 200 {
		c := p.dial("/server/", "a")
		_ = c.WriteMessage(websocket.BinaryMessage, serviceprotocol.Append(nil, &serviceprotocol.Message{Type: serviceprotocol.HandshakeRequest, Version: 1}))
		_, _, _ = c.ReadMessage()
		_ = c.Close()
	}
	p.eventually(func(s *Servers) bool { return s.open.Load() == 0 })
	log := p.log.String()
	if strings.Contains(log, "level=WARN") {
		t.Errorf("the log warns: %s", log)
	}
	if n := strings.Count(log, "application server"); n > 200 {
		t.Errorf("the log has %d lines", n)
	}
}

func TestServerWithAWrongHandshakeIsToldWhy(t *testing.T) {
	p := newPlace(t, ServersOptions{})
	for name, m := range map[string]serviceprotocol.Message{
		"version": {Type: serviceprotocol.HandshakeRequest, Version: 2}, "type": {Type: serviceprotocol.Ping},
	} {
		c := p.dial("/server/", "a")
		if err := c.WriteMessage(websocket.BinaryMessage, serviceprotocol.Append(nil, &m)); err != nil {
			t.Fatal(err)
		}
		var got serviceprotocol.Message
		if _, err := (&input{socket: c}).next(&got); err != nil || got.Type != serviceprotocol.HandshakeResponse || got.Text == "" {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if n := strings.Count(p.log.String(), "level=WARN"); n != 1 {
		t.Errorf("the log has %d warnings", n)
	}
}

// A result that a server wants of another server's client reaches it by both.
func TestResultsOfClientsOfOtherServers(t *testing.T) {
	p := newPlace(t, ServersOptions{})
	b := p.server("b", serviceprotocol.MigrateAlways)
	u := p.client()
	a := p.server("a", serviceprotocol.MigrateAlways)
	opened, _ := b.hear(func(m *serviceprotocol.Message) bool { return m.Type == serviceprotocol.OpenConnection })
	ask := func(id string) {
		text := `{"type":1,"invocationId":"` + id + `","target":"T","arguments":[]}`
		a.say(&serviceprotocol.Message{
			Type: serviceprotocol.ClientInvocation, Invocation: id, Connection: opened.Connection, Server: "a",
			Payloads: []serviceprotocol.Payload{{Protocol: "json", Data: []byte(text + "\x1e")}},
		})
		u.hear(text)
		b.hear(func(m *serviceprotocol.Message) bool {
			return m.Type == serviceprotocol.ClientInvocation && m.Invocation == id
		})
	}
	ask("i")
	u.say(`{"type":3,"invocationId":"i","result":1}`)
	b.hearData(`"result":1`)
	b.say(&serviceprotocol.Message{Type: serviceprotocol.ClientCompletion, Invocation: "i", Connection: opened.Connection, Server: "a", Protocol: "json", Data: []byte("1")})
	a.hear(func(m *serviceprotocol.Message) bool {
		return m.Type == serviceprotocol.ClientCompletion && m.Invocation == "i"
	})

	ask("moved")
	_ = b.socket.Close()
	failed := func(id, text string) {
		t.Helper()
		a.hear(func(m *serviceprotocol.Message) bool {
			return m.Type == serviceprotocol.ErrorCompletion && m.Invocation == id && m.Text == text
		})
	}
	failed("moved", disconnectedText)
	u.say(`{"type":3,"invocationId":"moved","result":"late"}`)
	u.call("1") // the late result is for no server
	a.mu.Lock()
	for _, m := range a.heard {
		if strings.Contains(string(m.Data), "late") {
			t.Errorf("the next server got the result %q", m.Data)
		}
	}
	a.mu.Unlock()
	a.say(&serviceprotocol.Message{Type: serviceprotocol.ClientInvocation, Invocation: "nobody", Connection: "x", Server: "a"})
	failed("nobody", "Connection 'x' does not exist.")
}

func TestMessagesInPartsReachClientsAsOne(t *testing.T) {
	l := newLink(NewServers(ServersOptions{}), "a", nil)
	c := &client{}
	for _, part := range []string{"a", "b"} {
		if got := l.whole(&serviceprotocol.Message{Connection: "c", Data: []byte(part), Partial: true}, c); got != nil {
			t.Errorf("got %q", got)
		}
	}
	if got := l.whole(&serviceprotocol.Message{Connection: "c", Data: []byte("c")}, c); string(got) != "abc" {
		t.Errorf("got %q", got)
	}
	l.whole(&serviceprotocol.Message{Connection: "d", Data: []byte("a"), Partial: true}, c)
	l.whole(&serviceprotocol.Message{Connection: "d", Data: []byte("a"), Partial: true}, nil) // it has gone
	if l.parts.bytes != 0 || len(l.parts.byID) > 0 {
		t.Errorf("kept: %+v", l.parts)
	}
}

func TestRequiredServerThatIsNotThereIsLogged(t *testing.T) {
	p := newPlace(t, ServersOptions{})
	p.server("a", serviceprotocol.NeverMigrate)
	required := &accesskey.Token{Claims: []accesskey.Claim{{Type: serverClaim, Value: "gone"}, {Type: stickyClaim, Value: "Required"}}}
	if err := p.servers.Ready(t.Context(), required); !errors.Is(err, errOtherIsOut) {
		t.Errorf("got %v", err)
	}
	if log := p.log.String(); !strings.Contains(log, `level=WARN msg="client refused" hub=chat server=gone`) {
		t.Errorf("the log is %s", log)
	}
	p.client()
	if got := p.servers.Stats(); got.Servers != 1 || got.Links != 1 || got.Clients != 1 || got.Moves != 0 {
		t.Errorf("the numbers are %+v", got)
	}
	p.servers.mu.Lock()
	ids := slices.Collect(maps.Keys(p.servers.clients))
	p.servers.mu.Unlock()
	_, err := hub.Invoke[int](t.Context(), p.hosted.Hub.Clients().Client(ids[0]), "M")
	if err == nil || !strings.Contains(err.Error(), "application server") {
		t.Errorf("an invocation of a client whose messages go to a server: %v", err)
	}
}
