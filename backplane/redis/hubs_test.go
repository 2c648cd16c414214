//go:build unix

package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
)

// node is a hub behind a broker, with one client that hears "Say" and answers "Ask".
type node struct {
	hub    *hub.Hub
	plane  *backplane.Backplane
	broker *Broker
	said   chan string
	id     string
}

func (s *server) node(user string, o Options) *node {
	s.t.Helper()
	n := &node{broker: s.broker(o), said: make(chan string, 1000)}
	n.plane = backplane.New(n.broker, backplane.Options{Hub: "Chat", ChannelPrefix: "app:"})
	s.t.Cleanup(n.plane.Close)
	n.hub = hub.New(hub.Options{Backplane: n.plane})
	connected := make(chan struct{}, 1)
	n.hub.OnConnected(func(context.Context) error { connected <- struct{}{}; return nil })
	c := hubtest.New(s.t, n.hub, hubtest.As(user))
	c.On("Say", client.Action1(func(_ context.Context, text string) error { n.said <- text; return nil }))
	c.On("Ask", client.Func1(func(_ context.Context, text string) (string, error) { return user + " " + text, nil }))
	if err := c.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	<-connected // it has joined
	n.id = c.ConnectionID()
	return n
}

func (n *node) say(t *testing.T, to hub.Sender, text string) {
	t.Helper()
	if err := to.Send(t.Context(), "Say", text); err != nil {
		t.Errorf("%s: %v", text, err)
	}
}

func (n *node) want(t *testing.T, texts ...string) {
	t.Helper()
	for _, want := range texts {
		if got := <-n.said; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func TestHubsBehindRedis(t *testing.T) {
	s := startServer(t)
	a, b := s.node("alice", Options{}), s.node("bob", Options{})
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		if err := from.hub.Groups().Add(t.Context(), to.id, "g"); err != nil {
			t.Fatal(err)
		}
		clients := from.hub.Clients()
		from.say(t, clients.Group("g"), "group")
		to.want(t, "group")
		from.say(t, clients.Client(to.id), "client")
		to.want(t, "client")
		from.say(t, clients.AllExcept(from.id), "others")
		to.want(t, "others")
		for i := range 100 {
			from.say(t, clients.All(), fmt.Sprint(i))
		}
		for i := range 100 {
			from.want(t, fmt.Sprint(i))
			to.want(t, fmt.Sprint(i))
		}
		if got, err := hub.Invoke[string](t.Context(), clients.Client(to.id), "Ask", "there?"); err != nil || got != map[*node]string{a: "alice", b: "bob"}[to]+" there?" {
			t.Errorf("answer %q, %v", got, err)
		}
		if _, err := hub.Invoke[string](t.Context(), clients.Client("nobody"), "Ask", ""); err == nil || err.Error() != "Connection 'nobody' does not exist." {
			t.Errorf("nobody: %v", err)
		}
		if err := from.hub.Groups().Remove(t.Context(), to.id, "g"); err != nil {
			t.Fatal(err)
		}
	}
}

// While the server is away or hangs, each node serves its own clients, and nothing is lost or
// doubled for them.
func TestHubsWithoutRedis(t *testing.T) {
	for name, fault := range map[string]struct{ begin, end func(s *server) }{
		"killed": {func(s *server) { s.Stop() }, func(s *server) { s.Start() }},
		"frozen": {(*server).freeze, (*server).thaw},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			a, b := s.node("alice", Options{}), s.node("bob", Options{})
			var want []string // not received yet
			said := 0
			say := func(n int) {
				for range n {
					text := fmt.Sprint(said)
					said++
					want = append(want, text)
					a.say(t, a.hub.Clients().All(), text)
				}
			}
			say(10)
			fault.begin(s)
			began := time.Now()
			say(1)
			a.want(t, want...)
			t.Log("the first message after the loss arrived after ", time.Since(began))
			want = want[:0]
			say(10)
			a.want(t, want...)
			fault.end(s)
			for _, n := range []*node{a, b} {
				s.eventually("the broker is connected again", func() bool { return !n.broker.State().Degraded })
			}
			a.say(t, a.hub.Clients().All(), "back")
			a.want(t, "back")
			for last := ""; last != "back"; { // what was sent meanwhile may have arrived
				last = <-b.said
			}
		})
	}
}

// While many channels are subscribed again, copies of what a node sends come long after the answers
// to its publications. They are not delivered again.
func TestSendingWhileChannelsComeBack(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := newRelay(t, s.Addr, 0)
	n := s.node("alice", Options{URL: "redis://" + r.addr})
	groups := make([]string, 20_000)
	for i := range groups {
		groups[i] = fmt.Sprint("group ", i)
	}
	if err := n.plane.Join(t.Context(), hub.Audience{Kind: hub.InGroups, Names: groups}); err != nil {
		t.Fatal(err)
	}
	r.late.Store(true)
	s.Do("CLIENT", "KILL", "TYPE", "pubsub")
	s.eventually("the loss is noticed", func() bool { return n.broker.State().Degraded })
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	sent := 0
	for n.broker.State().Degraded && sent < 900 { // as many copies are remembered
		text := fmt.Sprint(sent)
		n.say(t, n.hub.Clients().All(), text)
		n.want(t, text)
		sent++
		<-pause.C
	}
	s.eventually("the broker is connected again", func() bool { return !n.broker.State().Degraded })
	n.say(t, n.hub.Clients().All(), "back")
	n.want(t, "back")
	t.Log(sent, " messages while channels came back")
}
