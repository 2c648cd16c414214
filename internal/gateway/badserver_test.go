package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/tinylib/msgp/msgp"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// guest is a client of the hub chat, whose application server returns what it says.
type guest struct {
	*client.HubConnection
	server *appServer
	id     string // of the connection
	pings  int
}

func (r *running) guest() *guest {
	r.t.Helper()
	s := r.serve("chat", true)
	c := client.New(r.url+"/client/?hub=chat", client.Options{
		Memory: client.NewMemory(), Transports: []client.Transport{client.WebSockets},
		Header: http.Header{"Authorization": {"Bearer " + keyToken("http://host/client/?hub=chat")}},
	})
	if err := c.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Stop(r.t.Context()) })
	opened := s.wait(func(m *serviceprotocol.Message) bool { return m.Type == serviceprotocol.OpenConnection })
	return &guest{HubConnection: c, server: s, id: opened.Connection}
}

// answers sends something, which reaches the server, and gets an answer on the same connection.
func (g *guest) answers(t *testing.T) {
	t.Helper()
	g.pings++
	text := fmt.Sprintf("ping %d of the guest", g.pings)
	got := make(chan struct{})
	stop := g.On(fmt.Sprintf("pong%d", g.pings), client.Action0(func(context.Context) error { close(got); return nil }))
	defer stop()
	if err := g.Send(t.Context(), "ping", text); err != nil {
		t.Fatal(err)
	}
	g.server.wait(func(m *serviceprotocol.Message) bool { return bytes.Contains(m.Data, []byte(text)) })
	g.server.say(&serviceprotocol.Message{
		Type: serviceprotocol.ConnectionData, Connection: g.id, Data: fmt.Appendf(nil, "{\"type\":1,\"target\":\"pong%d\",\"arguments\":[]}\x1e", g.pings),
	})
	select {
	case <-got:
	case <-time.After(time.Minute):
		t.Fatal("the guest got no answer")
	}
}

// framed returns the bytes of a message with its length.
func framed(body []byte) []byte {
	var wire []byte
	for n := len(body); ; n >>= 7 {
		if n < 0x80 {
			return append(append(wire, byte(n)), body...)
		}
		wire = append(wire, byte(n)|0x80)
	}
}

// bodyOf returns a message without its length.
func bodyOf(m *serviceprotocol.Message) []byte {
	wire := serviceprotocol.Append(nil, m)
	for i, b := range wire {
		if b < 0x80 {
			return wire[i+1:]
		}
	}
	return nil
}

// badMessages are messages that are truncated, of wrong types, and for what is not the server's.
func badMessages(foreign string) (all [][]byte) {
	for kind := serviceprotocol.Type(1); kind <= 41; kind++ {
		m := serviceprotocol.Message{
			Type: kind, Connection: foreign, User: "nobody", Group: "g", Names: []string{foreign, "x"}, Except: []string{foreign},
			Data: []byte("{\"type\":7}\x1e"), Payloads: []serviceprotocol.Payload{{Protocol: "json", Data: []byte("{\"type\":6}\x1e")}, {Protocol: "none", Data: []byte{0}}},
			Ack: 7, Text: "over", Invocation: "i", Server: "s", Version: 1, Protocol: "json", Max: -1, Status: 9,
			Headers: []serviceprotocol.Header{{Name: "Asrs-Migrate-To", Values: []string{"s"}}},
		}
		if kind == serviceprotocol.CloseConnectionAck { // it may close any connection of its hub
			m.Connection = "x"
		}
		body := bodyOf(&m)
		all = append(all, body, body[:len(body)/3], body[:len(body)/2], body[:len(body)-1], append(bytes.Clone(body), body...))
		if kind == serviceprotocol.CloseConnectionsAck {
			continue // without its exceptions it closes all
		}
		for _, wrong := range [][]byte{
			msgp.AppendNil(nil), msgp.AppendInt64(nil, -1<<63), msgp.AppendUint64(nil, 1<<64-1), msgp.AppendBool(nil, true), msgp.AppendFloat64(nil, 1),
			msgp.AppendArrayHeader(nil, 1<<32-1), msgp.AppendMapHeader(nil, 1<<32-1), {0xdb, 0xff, 0xff, 0xff, 0xff}, {0xc6, 0xff, 0xff, 0xff, 0xff}, {0xc1}, bytes.Repeat([]byte{0x91}, 10_000),
		} {
			for at := range 4 {
				item := msgp.AppendInt(msgp.AppendArrayHeader(nil, 8), int(kind))
				for i := range 7 {
					if i == at {
						item = append(item, wrong...)
					} else {
						item = msgp.AppendString(item, "y")
					}
				}
				all = append(all, item)
			}
		}
	}
	return all
}

// Whatever a server sends: its connection ends or goes on, and the clients and servers of others
// notice nothing.
func TestBadMessagesOfAnApplicationServer(t *testing.T) {
	r := start(t, withServers(t, "chat", "news"))
	g := r.guest()
	for _, hub := range []string{"chat", "news"} {
		bad := r.serve(hub, false)
		for i, body := range badMessages(g.id) {
			if err := bad.socket.WriteMessage(websocket.BinaryMessage, framed(body)); err != nil {
				bad = r.serve(hub, false)
			}
			select {
			case <-bad.ended:
				bad = r.serve(hub, false)
			default:
			}
			if i%100 == 0 {
				g.answers(t)
			}
		}
	}
	for name, frame := range map[string][]byte{
		"more than the limit":     append([]byte{0xff, 0xff, 0xff, 0x1f}, make([]byte, 33<<20)...),
		"a length without an end": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"no array":                {0x01, 0xa0},
		"nothing":                 {0x00},
	} {
		bad := r.serve("chat", false)
		_ = bad.socket.WriteMessage(websocket.BinaryMessage, frame)
		select {
		case <-bad.ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s does not end the connection", name)
		}
	}
	bad := r.serve("chat", false)
	_ = bad.socket.WriteMessage(websocket.TextMessage, []byte("{}"))
	<-bad.ended
	g.answers(t)
	if strings.Contains(r.log.String(), "panic") {
		t.Error("the log has a panic")
	}
}

// A server that asks and never reads the answers is ended, and what waits for it is bounded.
func TestApplicationServerThatNeverReads(t *testing.T) {
	r := start(t, withServers(t, "chat"))
	g := r.guest()
	socket := r.dialServerOnly("chat")
	write := func(m *serviceprotocol.Message) error {
		_ = socket.SetWriteDeadline(time.Now().Add(90 * time.Second))
		return socket.WriteMessage(websocket.BinaryMessage, serviceprotocol.Append(nil, m))
	}
	if err := write(&serviceprotocol.Message{Type: serviceprotocol.HandshakeRequest, Version: 1}); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	long := strings.Repeat("x", 256<<10)
	n := 0
	for ; n < 2_000; n++ { // 500 MB of answers
		if err := write(&serviceprotocol.Message{Type: serviceprotocol.ClientInvocation, Invocation: long, Connection: "nobody", Server: "s"}); err != nil {
			break
		}
	}
	if n == 2_000 {
		t.Error("the server was not ended")
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(r.log.String(), "the application server does not read"); {
		if time.Now().After(end) {
			t.Fatal("the log does not say why")
		}
		time.Sleep(time.Millisecond) // the line follows the end of the network connection
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 100<<20 {
		t.Errorf("%d MB are kept", grown>>20)
	}
	g.answers(t)
}

// A client whose server never answers the handshake ends by its time-out, and its server hears so.
func TestApplicationServerThatNeverAnswers(t *testing.T) {
	r := start(t, func(c *Config) {
		withServers(t, "chat")(c)
		c.Hubs[0].Timeouts.Handshake = time.Second
	})
	s := r.serve("chat", false)
	c := client.New(r.url+"/client/?hub=chat", client.Options{
		Memory: client.NewMemory(), Header: http.Header{"Authorization": {"Bearer " + keyToken("http://host/client/?hub=chat")}},
	})
	if err := c.Start(t.Context()); err == nil {
		t.Error("the client has started")
	}
	opened := s.wait(func(m *serviceprotocol.Message) bool { return m.Type == serviceprotocol.OpenConnection })
	s.wait(func(m *serviceprotocol.Message) bool {
		return m.Type == serviceprotocol.CloseConnection && m.Connection == opened.Connection
	})
}
