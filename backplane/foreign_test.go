package backplane

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/internal/testproc"
	"github.com/carillon-go/carillon/protocol"
)

// published are the payloads that a foreign server receives, as channel and payload in hex.
type published chan string

func (p published) Receive(channel string, payload []byte) {
	p <- channel + " " + hex.EncodeToString(payload)
}

func (published) Changed(bool) {}

// A process that is not ours changes groups and asks clients as it does with ASP.NET Core, and gets the same bytes.
func TestForeignServer(t *testing.T) {
	var m Memory
	foreign := m.Broker()
	got := make(published, 100)
	if err := foreign.Subscribe(t.Context(), got, "fake:ret", "fake:ret2", "Reference.ChatHub:internal:ack:", "Reference.ChatHub:internal:ack:fakeserver_1",
		"Reference.ChatHub:internal:ack:a:b é"); err != nil {
		t.Fatal(err)
	}
	b := New(m.Broker(), Options{Hub: "Reference.ChatHub"})
	t.Cleanup(b.Close)
	h := hub.New(hub.Options{Backplane: b})
	connected := make(chan struct{}, 1)
	h.OnConnected(func(context.Context) error { connected <- struct{}{}; return nil })
	answers := make(chan func() (string, error))
	ids := map[string]string{"nope": "nope"}
	for name, p := range map[string]protocol.HubProtocol{"j": protocol.NewJSON(protocol.JSONOptions{}), "m": protocol.NewMessagePack()} {
		c := hubtest.New(t, h, hubtest.Options{Client: client.Options{Protocol: p}})
		c.On("Ask", client.Func1(func(ctx context.Context, _ string) (string, error) {
			select {
			case answer := <-answers:
				return answer()
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}))
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-connected
		ids[name] = c.ConnectionID()
	}
	for _, r := range recordings(t, "injected") {
		payload := r.bytes
		for name, id := range r.IDs {
			payload = bytes.ReplaceAll(payload, []byte(id), []byte(ids[name]))
			r.Channel = strings.ReplaceAll(r.Channel, id, ids[name])
		}
		switch {
		case strings.HasPrefix(r.Name, "group command"):
			_, _ = foreign.Publish(t.Context(), payload, r.Channel)
			if ack, ok := strings.CutPrefix(r.Result, "ack "); ok {
				id, channel, _ := strings.Cut(ack, " on ")
				if text := <-got; text != channel+" "+id {
					t.Errorf("%s: %s, want %s", r.Name, text, r.Result)
				}
			}
		case strings.HasPrefix(r.Name, "ask from a peer") && len(r.Published) > 0:
			for range r.asked() {
				_, _ = foreign.Publish(t.Context(), payload, r.Channel)
				payload = bytes.Replace(payload, []byte("\xa8fake:ret"), []byte("\xa9fake:ret2"), 1)
			}
			for _, want := range r.Published {
				if !strings.Contains(r.Payload, hex.EncodeToString([]byte("dup"))) || want.Channel == "fake:ret" {
					answers <- func() (string, error) { return answerOf(t, want.Payload) }
				}
				if text := <-got; text != want.Channel+" "+want.Payload {
					t.Errorf("%s: %s, want %s", r.Name, text, want.Channel+" "+want.Payload)
				}
			}
		}
	}
	if len(got) > 0 {
		t.Errorf("one more: %s", <-got)
	}
}

// asked is the number of times that the payload is published.
func (r recorded) asked() int { return max(1, len(r.Published)) }

// answerOf returns what a client's handler returns for a recorded completion.
func answerOf(t *testing.T, payload string) (string, error) {
	data, _ := hex.DecodeString(payload)
	_, a, err := parseAnswer(data)
	if err != nil {
		t.Error(err)
	}
	if a.Failed {
		return "", errors.New(a.Error)
	}
	var text string
	for _, p := range protocols {
		if p.Name() == a.Protocol {
			err = p.Decode(a.Result, &text)
		}
	}
	return text, err
}

// Payloads that are malformed or too long are counted, and what follows is served.
func TestBadPayloads(t *testing.T) {
	j := join(t, Options{MaxPayloadBytes: 1000})
	broker, names := j.broker[1], j.planes[0].names
	for _, channel := range []string{names.all, names.groups, names.acks, names.answers, names.channel(hub.ToConnections, j.ids[0]), names.channel(hub.OfUsers, "alice")} {
		for _, payload := range []string{"", "\xc0", "hello", "\x92", "\x92\x90\x80", strings.Repeat("x", 1001)} {
			if _, err := broker.Publish(t.Context(), []byte(payload), channel); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.hubs[1].Clients().All().Send(t.Context(), "Say", "a"); err != nil {
		t.Fatal(err)
	}
	if err := j.hubs[1].Clients().User("alice").Send(t.Context(), "Say", "b"); err != nil {
		t.Fatal(err)
	}
	if err := j.hubs[1].Clients().Client(j.ids[0]).Send(t.Context(), "Say", "c"); err != nil {
		t.Fatal(err)
	}
	seen := ""
	for range 3 {
		seen += <-j.said[0]
	}
	if len(seen) != 3 {
		t.Errorf("got %q", seen)
	}
	j.planes[0].Close() // delivers what waits
	if got := j.planes[0].Stats(); got.Malformed != 30 || got.Oversized != 6 || got.Overflown != 0 || got.Received < 39 {
		t.Errorf("got %+v", got)
	}
	if got := j.planes[1].Stats(); got.Published != 3 {
		t.Errorf("the sender: %+v", got)
	}
}

// Messages of a server that publishes one protocol reach the clients of the other. The log says so
// once.
func TestServerThatLacksAProtocol(t *testing.T) {
	var log testproc.Output
	j := join(t, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for i, p := range []protocol.HubProtocol{protocols[1], protocols[1], protocols[0], protocols[1]} { // the clients use JSON
		frame, err := p.AppendInvocation(nil, "", "Say", nil, nil, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		v := invocation{frames: map[string][]byte{p.Name(): frame}}
		if _, err := j.broker[1].Publish(t.Context(), v.append(nil), j.planes[0].names.all); err != nil {
			t.Fatal(err)
		}
		j.want(t, 0, fmt.Sprint(i))
		j.want(t, 1, fmt.Sprint(i))
	}
	for _, lacking := range []string{"json", "messagepack"} {
		if n := strings.Count(log.String(), "protocol="+lacking); n != 2 { // of two processes
			t.Errorf("%d lines for %s:\n%s", n, lacking, &log)
		}
	}
}

// A command with an unknown action is acknowledged and changes nothing.
func TestUnknownAction(t *testing.T) {
	j := join(t, Options{})
	one, member := j.planes[0], j.ids[1]
	if err := j.hubs[0].Groups().Add(t.Context(), member, "g"); err != nil {
		t.Fatal(err)
	}
	for _, action := range []uint8{0, 3, 255} {
		c := command{server: one.names.server, action: action, group: "g", connection: member}
		if err := one.changeGroup(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	clients := j.hubs[1].Clients()
	if err := errors.Join(clients.Group("g").Send(t.Context(), "Say", "group"), clients.All().Send(t.Context(), "Say", "all")); err != nil {
		t.Fatal(err)
	}
	j.want(t, 1, "group", "all")
}

// A message that other processes would drop, or whose ctx has ended, reaches nobody.
func TestMessagesThatCannotBeSent(t *testing.T) {
	j := join(t, Options{MaxPayloadBytes: 1000})
	clients := j.hubs[0].Clients()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	long := strings.Repeat("x", 1000)
	if err := clients.All().Send(ctx, "Say", long); err == nil || !strings.Contains(err.Error(), "MaxPayloadBytes is 1000") {
		t.Errorf("a long message: %v", err)
	}
	if _, err := hub.Invoke[int](ctx, clients.Client(j.ids[1]), "Ask", long); err == nil || !strings.Contains(err.Error(), "MaxPayloadBytes is 1000") {
		t.Errorf("a long question: %v", err)
	}
	ended, end := context.WithCancel(ctx)
	end()
	for range 20 {
		if err := clients.All().Send(ended, "Say", "late"); !errors.Is(err, context.Canceled) {
			t.Errorf("a ctx that has ended: %v", err)
		}
	}
	if err := clients.All().Send(ctx, "Say", "next"); err != nil {
		t.Error(err)
	}
	j.want(t, 0, "next")
	j.want(t, 1, "next")
}
