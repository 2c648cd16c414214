package hub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// program is another program that answers clients.
type program struct {
	refusal error
	opened  chan *hub.Relayed
	shook   chan string
	got     chan string
	ended   chan error
	blocked chan struct{} // Receive waits for it; nil: it does not wait
}

func newProgram() *program {
	return &program{opened: make(chan *hub.Relayed, 9), shook: make(chan string, 9), got: make(chan string, 9), ended: make(chan error, 9)}
}

func (p *program) Open(c *hub.Relayed, handshake []byte) (hub.Remote, error) {
	if p.refusal != nil {
		return nil, p.refusal
	}
	p.opened <- c
	p.shook <- string(handshake)
	return p, nil
}

func (p *program) Receive(ctx context.Context, data []byte) error {
	if p.blocked != nil {
		select {
		case <-p.blocked:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	p.got <- string(data)
	return nil
}

func (p *program) Ended(cause error) { p.ended <- cause }

// relayed connects a client with a protocol to a program that answers its handshake.
func relayed(t *testing.T, h *hub.Hub, p *program, protocol, id string) (*client, *hub.Relayed) {
	t.Helper()
	c := dial(t, h, clientOptions{id: id, user: "u"})
	c.send(`{"protocol":"` + protocol + `","version":1}`)
	if got := <-p.shook; got != `{"protocol":"`+protocol+`","version":1}`+"\x1e" {
		t.Errorf("the program got the handshake %q", got)
	}
	r := <-p.opened
	r.Answer([]byte("{}\x1e"))
	if got := string((<-c.conn.queue).Payload()); got != "{}\x1e" {
		t.Fatalf("the handshake was answered with %q", got)
	}
	return c, r
}

// Bytes pass in both directions as they are, in pieces of any size and in any protocol.
func TestBytesOfRelayedClientsPass(t *testing.T) {
	p := newProgram()
	h := hub.New(hub.Options{Relay: p})
	for _, protocol := range []string{"json", "messagepack", "blazorpack", "other"} {
		c, r := relayed(t, h, p, protocol, protocol)
		for _, piece := range []string{"{\"ty", "pe\":1}\x1e{", "\x00\xff"} {
			c.sendRaw(piece)
			if got := <-p.got; got != piece {
				t.Errorf("%s: the program got %q, want %q", protocol, got, piece)
			}
		}
		sent := []byte("anything")
		r.Send(sent)
		if f := <-c.conn.queue; &f.Payload()[0] != &sent[0] || f.Binary() != (protocol != "json") {
			t.Errorf("%s: the client got %q, binary %t", protocol, f.Payload(), f.Binary())
		}
		if r.Protocol() != protocol || r.Caller().UserID() != "u" {
			t.Errorf("%s: the client is %q with %q", protocol, r.Caller().UserID(), r.Protocol())
		}
		r.End(nil)
		c.wantEnd()
		if cause := <-p.ended; cause != nil {
			t.Errorf("%s: the client ended with %v", protocol, cause)
		}
	}
}

// Data that follows the handshake at once is passed on before the answer.
func TestDataWithTheHandshakeIsRelayed(t *testing.T) {
	p := newProgram()
	c := dial(t, hub.New(hub.Options{Relay: p}), clientOptions{})
	c.send(`{"protocol":"json","version":1}`, `{"type":6}`)
	if got := <-p.got; got != "{\"type\":6}\x1e" {
		t.Errorf("the program got %q", got)
	}
}

// A relayed client gets what is sent to its audiences, in its protocol. Clients with a protocol that
// is not understood get what is encoded in it.
func TestAudiencesOfRelayedClients(t *testing.T) {
	p := newProgram()
	h := hub.New(hub.Options{Relay: p})
	text, _ := relayed(t, h, p, "json", "t")
	blazor, _ := relayed(t, h, p, "blazorpack", "b")
	for _, id := range []string{"t", "b"} {
		if err := h.Groups().Add(t.Context(), id, "g"); err != nil {
			t.Fatal(err)
		}
	}
	for _, to := range []hub.Audience{{}, {Kind: hub.InGroups, Names: []string{"g"}}, {Kind: hub.OfUsers, Names: []string{"u"}}, {Kind: hub.ToConnections, Names: []string{"t", "b"}}} {
		m := hub.Message{Method: "M", Frames: map[string][]byte{"json": []byte(call("", "M", "1") + "\x1e"), "blazorpack": []byte("blazor")}}
		if err := h.SendEncoded(t.Context(), to, m); err != nil {
			t.Fatal(err)
		}
		text.want(call("", "M", "1"))
		if got := string((<-blazor.conn.queue).Payload()); got != "blazor" {
			t.Errorf("got %q", got)
		}
	}
	if err := h.Clients().All().Send(t.Context(), "M", 2); err != nil {
		t.Error(err)
	}
	text.want(call("", "M", "2"))
	blazor.quiet()
	if err := h.Disconnect(t.Context(), "t", "b"); err != nil {
		t.Fatal(err)
	}
	text.want(`{"type":7}`)
	text.wantEnd()
	blazor.wantEnd()
}

func TestRelayRefusesAClient(t *testing.T) {
	p := newProgram()
	p.refusal = errors.New("There is no server.")
	c := dial(t, hub.New(hub.Options{Relay: p}), clientOptions{})
	c.send(`{"protocol":"json","version":1}`)
	c.want(`{"error":"There is no server."}`)
	c.wantEnd()
	if len(p.ended) > 0 {
		t.Error("the program is told about a client that it has refused")
	}
}

// Each end of a client is told once: while its program reads nothing, before its handshake is
// answered, and when the client reconnects after the loss of its program.
func TestEndsOfRelayedClients(t *testing.T) {
	gone := errors.New("gone")
	t.Run("the client leaves while the program reads nothing", func(t *testing.T) {
		p := newProgram()
		p.blocked = make(chan struct{})
		c, _ := relayed(t, hub.New(hub.Options{Relay: p}), p, "json", "")
		c.send("a")
		c.leave(gone)
		if cause := <-p.ended; !errors.Is(cause, gone) {
			t.Errorf("the program was told %v", cause)
		}
	})
	t.Run("the client leaves before the answer", func(t *testing.T) {
		p := newProgram()
		c := dial(t, hub.New(hub.Options{Relay: p}), clientOptions{})
		c.send(`{"protocol":"json","version":1}`)
		r := <-p.opened
		c.leave(gone)
		if cause := <-p.ended; !errors.Is(cause, gone) {
			t.Errorf("the program was told %v", cause)
		}
		r.Answer([]byte("{}\x1e"))
		r.Send([]byte("x"))
		r.End(nil)
		if len(c.conn.queue) > 0 || len(p.ended) > 0 {
			t.Error("something happened after the end")
		}
	})
	t.Run("the program is lost", func(t *testing.T) {
		p := newProgram()
		c, r := relayed(t, hub.New(hub.Options{Relay: p}), p, "json", "")
		r.Lose(gone)
		c.wantEnd()
		if cause := <-p.ended; !errors.Is(cause, gone) || !c.conn.hungUp {
			t.Errorf("the program was told %v; hung up %t", cause, c.conn.hungUp)
		}
	})
}

// While the program sends nothing, the client gets pings, in protocols that have a known one.
func TestPingsOfRelayedClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram()
		h := hub.New(hub.Options{Relay: p, ClientTimeout: 20 * time.Second})
		pings := map[string]string{"json": "{\"type\":6}\x1e", "messagepack": "\x02\x91\x06", "blazorpack": "\x02\x91\x06", "other": ""}
		clients, programs := map[string]*client{}, map[string]*hub.Relayed{}
		for name := range pings {
			clients[name], programs[name] = relayed(t, h, p, name, name)
			clients[name].send(`{"type":6}`) // a client that must send more, if the hub itself were to judge
			<-p.got
		}
		got := func(name string) string {
			var all strings.Builder
			for len(clients[name].conn.queue) > 0 {
				all.Write((<-clients[name].conn.queue).Payload())
			}
			return all.String()
		}
		for range 12 { // the program sends something every five seconds
			time.Sleep(5 * time.Second) //nolint:forbidigo // of the bubble
			for name, r := range programs {
				r.Send([]byte("x"))
				synctest.Wait()
				if all := got(name); all != "x" {
					t.Errorf("%s: got %q", name, all)
				}
			}
		}
		time.Sleep(19 * time.Second) //nolint:forbidigo // of the bubble
		for name, ping := range pings {
			if all := got(name); all != ping {
				t.Errorf("%s: got %q, want %q", name, all, ping)
			}
			if clients[name].conn.over() {
				t.Errorf("%s: the connection ended", name)
			}
		}
	})
}

// A relayed client that sends faster than it may is read later. Nothing is lost.
func TestBytesOfRelayedClientsHaveALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newProgram()
		h := hub.New(hub.Options{Relay: p, MaxRelayedBytesPerSecond: 10})
		c, _ := relayed(t, h, p, "json", "")
		began := time.Now()
		for _, piece := range []string{strings.Repeat("x", 310), "late"} { // the burst, and a second more
			c.sendRaw(piece)
			if got := <-p.got; got != piece {
				t.Errorf("the program got %q", got)
			}
		}
		if got := time.Since(began); got != time.Second {
			t.Errorf("the last bytes came after %v", got)
		}
		if got := h.Refusals().Bytes; got != 1 {
			t.Errorf("%d waits", got)
		}
	})
}
