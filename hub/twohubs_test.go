package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
)

// twoHubs places the clients of the tests that TestOnTwoHubs runs. No other test runs at the
// same time.
var twoHubs placement

type placement struct {
	on    bool
	apart bool // all clients are at the other hub; otherwise the first is not
	// ackTimeout is short in a test that changes the groups of connections that have ended.
	ackTimeout time.Duration

	mu    sync.Mutex
	other map[*hub.Hub]*hub.Hub // by the hub that the test knows
	first map[*hub.Hub]bool     // hubs that have had their first client
}

func (p *placement) start(apart bool) (stop func()) {
	p.on, p.apart = true, apart
	p.other, p.first = make(map[*hub.Hub]*hub.Hub), make(map[*hub.Hub]bool)
	return func() { p.on, p.other, p.first = false, nil, nil }
}

func (p *placement) join(o hub.Options) *hub.Hub {
	var joined backplane.Memory
	settings := backplane.Options{Hub: "Lab", AckTimeout: p.ackTimeout}
	here, there := &linked{}, &linked{}
	here.other, there.other = there, here
	o.Backplane, o.Presence = backplane.New(joined.Broker(), settings), here
	h := newLoneLab(o)
	o.Backplane, o.Presence = backplane.New(joined.Broker(), settings), there
	p.mu.Lock()
	defer p.mu.Unlock()
	p.other[h] = newLoneLab(o)
	return h
}

// linked is the presence of one of two hubs.
type linked struct {
	local hub.Local
	other *linked
}

func (l *linked) AttachPresence(local hub.Local) { l.local = local }

func (l *linked) Survey(ctx context.Context, q hub.Survey, take func(hub.Findings) bool) (answered, missing int) {
	f, err := l.other.local.Survey(ctx, q)
	if err != nil {
		return 0, 1
	}
	take(f)
	return 1, 0
}

// place returns the hub for the next client of a hub.
func (p *placement) place(h *hub.Hub) *hub.Hub {
	if !p.on {
		return h
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.apart && !p.first[h] {
		p.first[h] = true
		return h
	}
	return p.other[h]
}

// The tests of audiences, groups, users, slow consumers and client results pass with clients
// at two hubs, and with senders and clients at different ones.
func TestOnTwoHubs(t *testing.T) {
	const apart, spread = true, false
	for _, test := range []struct {
		name       string
		run        func(*testing.T)
		places     []bool
		ackTimeout time.Duration
	}{
		{"Audiences", TestAudiences, []bool{spread}, 0},
		{"GroupsEndWithTheConnection", TestGroupsEndWithTheConnection, []bool{apart, spread}, 0},
		{"BroadcastIsEncodedOnce", TestBroadcastIsEncodedOnce, []bool{apart}, 0},
		{"SlowConsumer", TestSlowConsumer, []bool{apart, spread}, 0},
		{"SlowConsumerPolicies", TestSlowConsumerPolicies, []bool{apart, spread}, 0},
		{"SendingToTheCallerWaits", TestSendingToTheCallerWaits, []bool{spread}, 0},
		{"OrderOfOneSender", TestOrderOfOneSender, []bool{apart, spread}, 0},
		{"MembershipRaces", TestMembershipRaces, []bool{apart, spread}, 100 * time.Millisecond},
		{"BroadcastThatCannotBeEncoded", TestBroadcastThatCannotBeEncoded, []bool{apart, spread}, 0},
		{"Disconnect", TestDisconnect, []bool{apart, spread}, 0},
		{"RawArgumentsAndResults", TestRawArgumentsAndResults, []bool{apart, spread}, 0},
		{"CloseConnections", TestCloseConnections, []bool{apart, spread}, 0},
		{"UserGroups", TestUserGroups, []bool{apart, spread}, 0},
		{"RemoveFromAllGroups", TestRemoveFromAllGroups, []bool{apart}, 100 * time.Millisecond},
		{"ClientResults", TestClientResults, []bool{apart}, 0},
		{"ClientResultOfOneWhoGoes", TestClientResultOfOneWhoGoes, []bool{apart, spread}, 0},
		{"ClientResultWithDeadline", TestClientResultWithDeadline, []bool{apart, spread}, 0},
		{"TwoQuestionsAnsweredInReverse", TestTwoQuestionsAnsweredInReverse, []bool{apart, spread}, 0},
		{"AskingTheCaller", TestAskingTheCaller, []bool{spread}, 0},
		{"Presence", TestPresence, []bool{apart, spread}, 0},
		{"PresenceOfLongNames", TestPresenceOfLongNames, []bool{apart}, 0},
		{"AskingAnAudience", TestAskingAnAudience, []bool{spread}, 0},
	} {
		for _, place := range test.places {
			t.Run(fmt.Sprintf("%s/apart=%v", test.name, place), func(t *testing.T) {
				defer twoHubs.start(place)()
				twoHubs.ackTimeout = test.ackTimeout
				test.run(t)
			})
		}
	}
}

// spy is the backplane of a hub that is joined to no other. It passes messages back.
type spy struct {
	local hub.Local
	join  func(ctx context.Context) error // nil: succeeds

	mu      sync.Mutex
	members map[string]int
	last    hub.Message
}

func (s *spy) Attach(local hub.Local) { s.local = local }

func (s *spy) count(n int, to []hub.Audience) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.members == nil {
		s.members = make(map[string]int)
	}
	for _, a := range to {
		for _, name := range a.Names {
			s.members[fmt.Sprint(a.Kind, name)] += n
		}
	}
}

func (s *spy) left() (left []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, n := range s.members {
		if n != 0 {
			left = append(left, fmt.Sprintf("%s: %d", name, n))
		}
	}
	return left
}

func (s *spy) Join(ctx context.Context, to ...hub.Audience) error {
	s.count(1, to)
	if s.join != nil {
		return s.join(ctx)
	}
	return nil
}

func (s *spy) Leave(to ...hub.Audience) { s.count(-1, to) }

func (s *spy) Send(_ context.Context, to hub.Audience, m hub.Message) error {
	s.last = m
	return s.local.Deliver(to, m)
}

func (s *spy) Ask(context.Context, string, hub.Message) (hub.Answer, error) {
	return hub.Answer{}, hub.ErrNoConnection
}

func (s *spy) Command(context.Context, hub.Command) error { return nil }

// The handshake is answered before the client has joined, OnConnected runs afterwards, and
// what the client sends meanwhile waits.
func TestOnConnectedWaitsForTheBackplane(t *testing.T) {
	join := make(chan error)
	b := &spy{join: func(context.Context) error { return <-join }}
	h := newLab(hub.Options{Backplane: b})
	connected := make(chan struct{})
	h.OnConnected(func(context.Context) error {
		close(connected)
		return nil
	})
	c := connect(t, h, clientOptions{user: "alice"})
	c.send(call("1", "Text", `"x"`))
	select {
	case <-connected:
		t.Error("OnConnected runs before the client has joined")
	default:
	}
	join <- nil
	c.want(result("1", `"x"`))
	<-connected
	b.join = nil
	_ = h.Groups().Add(t.Context(), "id", "g")
	_ = h.Groups().Add(t.Context(), "id", "g")
	_ = h.Groups().Remove(t.Context(), "id", "g")
	_ = h.Groups().Remove(t.Context(), "id", "g")
	_ = h.Groups().Add(t.Context(), "id", "k")
	c.close()
	if left := b.left(); len(left) != 0 {
		t.Errorf("after the end: %v", left)
	}
}

// recording is a spy that knows whether a group is left before it is joined.
type recording struct {
	spy
	joined, early atomic.Bool
}

func (r *recording) Leave(to ...hub.Audience) {
	if !r.joined.Load() {
		r.early.Store(true)
	}
	r.spy.Leave(to...)
}

// A client that is removed from its group while it joins leaves the group afterwards.
func TestAGroupIsLeftAfterItsJoin(t *testing.T) {
	b, join := &recording{}, make(chan error)
	b.join = func(context.Context) error {
		err := <-join
		b.joined.Store(true)
		return err
	}
	h := newLab(hub.Options{Backplane: b})
	connected := make(chan struct{})
	h.OnConnected(func(context.Context) error {
		close(connected)
		return nil
	})
	listener := dial(t, h, clientOptions{id: "l", info: hub.ConnectInfo{Listens: true, Groups: []string{"g", "k"}}})
	if err := h.Groups().Remove(t.Context(), "l", "g"); err != nil {
		t.Fatal(err)
	}
	join <- nil
	<-connected
	if b.early.Load() {
		t.Error("the group is left before it is joined")
	}
	if left := b.left(); len(left) != 2 { // the connection and k
		t.Errorf("joined: %v", left)
	}
	listener.close()
	if left := b.left(); len(left) != 0 {
		t.Errorf("after the end: %v", left)
	}
}

func TestBackplaneThatDoesNotJoinEndsTheConnection(t *testing.T) {
	b := &spy{join: func(context.Context) error { return errors.New("no broker") }}
	h := newLab(hub.Options{Backplane: b, DetailedErrors: true})
	h.OnConnected(func(context.Context) error {
		t.Error("OnConnected runs")
		return nil
	})
	c := connect(t, h, clientOptions{})
	c.want(`{"type":7,"error":"Connection closed with an error. Exception: no broker"}`)
	c.wantEnd()
	c.close()
	if left := b.left(); len(left) != 0 {
		t.Errorf("after the end: %v", left)
	}
}

// A connection that ends while it joins does not wait for the broker, and takes the Join back.
func TestConnectionEndsWhileItJoins(t *testing.T) {
	b := &spy{join: func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	c := connect(t, newLab(hub.Options{Backplane: b}), clientOptions{})
	c.close()
	if left := b.left(); len(left) != 0 {
		t.Errorf("after the end: %v", left)
	}
}

func TestGroupThatTheBackplaneDoesNotJoin(t *testing.T) {
	b := &spy{}
	h := newLab(hub.Options{Backplane: b})
	c := connect(t, h, clientOptions{})
	c.send(call("1", "Void", ""))
	c.want(result("1", "null"))
	failure := errors.New("no broker")
	b.join = func(context.Context) error { return failure }
	if err := h.Groups().Add(t.Context(), "id", "g"); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	_ = h.Clients().Group("g").Send(t.Context(), "M")
	c.quiet()
	c.close()
	if left := b.left(); len(left) != 0 {
		t.Errorf("after the end: %v", left)
	}
}

// What comes from another process is sent as it came; a listener gets the arguments of the JSON.
func TestReceivedMessagesAreNotEncoded(t *testing.T) {
	b := &spy{}
	h := newLab(hub.Options{Backplane: b})
	c := connect(t, h, clientOptions{id: "c"})
	listener := dial(t, h, clientOptions{id: "l", info: hub.ConnectInfo{Listens: true, Groups: []string{"g"}}})
	_ = listener.next()
	if err := h.Clients().All().Send(t.Context(), "M", "a\nb", 1); err != nil {
		t.Fatal(err)
	}
	f := <-c.conn.queue
	if sent := b.last.Frames["json"]; &f.Payload()[0] != &sent[0] {
		t.Errorf("%q is a copy of %q", f.Payload(), sent)
	}
	if got := string((<-listener.conn.queue).Payload()); got != "event: M\r\ndata: [\"a\\nb\",1]" {
		t.Errorf("the listener got %q", got)
	}
	foreign := hub.Message{Method: "N", Frames: map[string][]byte{"json": []byte("{\"arguments\":[ {\"x\":\n1} ],\"target\":\"N\",\"type\":1}\x1e")}}
	if err := b.local.Deliver(hub.Audience{Kind: hub.InGroups, Names: []string{"g"}}, foreign); err != nil {
		t.Fatal(err)
	}
	if got := string((<-listener.conn.queue).Payload()); got != `event: N`+"\r\n"+`data: [{"x":1}]` {
		t.Errorf("the listener got %q", got)
	}
	foreign.Frames = nil
	if err := b.local.Deliver(hub.Audience{}, foreign); err == nil || !strings.Contains(err.Error(), "lacks the protocol") {
		t.Errorf("a message in no protocol: %v", err)
	}
	c.quiet()
}

// A client gets a message that its protocol lacks in the form of its own protocol.
func TestReceivedMessagesAreTranscoded(t *testing.T) {
	b := &spy{}
	h := newLab(hub.Options{Backplane: b})
	text := connect(t, h, clientOptions{id: "json"})
	binary := dial(t, h, clientOptions{id: "mp"})
	binary.send(`{"protocol":"messagepack","version":1}`)
	<-binary.conn.queue
	listener := dial(t, h, clientOptions{id: "l", info: hub.ConnectInfo{Listens: true}})
	_ = listener.next()
	deliver := func(name, frame string) error {
		return b.local.Deliver(hub.Audience{}, hub.Message{Frames: map[string][]byte{name: []byte(frame)}})
	}
	for _, c := range []struct{ name, frame, json, messagePack, event string }{
		{"json", call("", "M", `1,-1.5,"é",[2],{"a":3},null`) + "\x1e", call("", "M", `1,-1.5,"é",[2],{"a":3},null`) + "\x1e",
			"\x2c\x96\x01\x80\xc0\xa1M\x96\x01\xcb\xbf\xf8\x00\x00\x00\x00\x00\x00\xa2é\x91\xd3\x00\x00\x00\x00\x00\x00\x00\x02\x81\xa1a\xd3\x00\x00\x00\x00\x00\x00\x00\x03\xc0\x90",
			"event: M\r\ndata: [1,-1.5,\"é\",[2],{\"a\":3},null]"},
		{"messagepack", "\x0d\x96\x01\x80\xc0\xa1M\x92\x01\xc4\x02\x01\x02\x90", `{"type":1,"target":"M","arguments":[1,"AQI="]}` + "\x1e",
			"\x0d\x96\x01\x80\xc0\xa1M\x92\x01\xc4\x02\x01\x02\x90", "event: M\r\ndata: [1,\"AQI=\"]"},
	} {
		if err := deliver(c.name, c.frame); err != nil {
			t.Fatal(err)
		}
		for client, want := range map[*client]string{text: c.json, binary: c.messagePack, listener: c.event} {
			if got := string((<-client.conn.queue).Payload()); got != want {
				t.Errorf("%s: %s got %q, want %q", c.name, client.conn.id, got, want)
			}
		}
	}
	for name, frame := range map[string]string{"json": "nonsense\x1e", "messagepack": "\x05\x96"} {
		if err := deliver(name, frame); err == nil {
			t.Errorf("%q is delivered", frame)
		}
	}
}

// Encoded messages are sent as they are, here and to other processes, and transcoded for others.
func TestSendEncoded(t *testing.T) {
	message := call("", "M", `1.50`) + "\x1e"
	for _, b := range []*spy{nil, {}} {
		o := hub.Options{}
		if b != nil {
			o.Backplane = b
		}
		h := newLoneLab(o)
		text := connect(t, h, clientOptions{id: "json"})
		binary := dial(t, h, clientOptions{id: "mp"})
		binary.send(`{"protocol":"messagepack","version":1}`)
		<-binary.conn.queue
		m := hub.Message{Method: "M", Frames: map[string][]byte{"json": []byte(message)}}
		for _, to := range []hub.Audience{{}, {Kind: hub.ToConnections, Names: []string{"json", "mp", "elsewhere"}}} {
			if err := h.SendEncoded(t.Context(), to, m); err != nil {
				t.Fatal(err)
			}
			if got := (<-text.conn.queue).Payload(); &got[0] != &m.Frames["json"][0] {
				t.Errorf("%q is a copy of %q", got, message)
			}
			if got := string((<-binary.conn.queue).Payload()); got != "\x11\x96\x01\x80\xc0\xa1M\x91\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\x90" {
				t.Errorf("got %q", got)
			}
			if b != nil && (len(b.last.Frames) != 2 || string(b.last.Frames["json"]) != message) {
				t.Errorf("others get %q", b.last.Frames)
			}
		}
	}
}

// Clients of other processes may have a protocol that this hub does not serve. An argument
// that cannot be encoded in it is no failure.
func TestMessagesForOthersAreInAllProtocols(t *testing.T) {
	b := &spy{}
	h := hub.New(hub.Options{Backplane: b, Protocols: []string{"json"}})
	if err := h.Clients().All().Send(t.Context(), "M", 1); err != nil || len(b.last.Frames) != 2 {
		t.Errorf("in %d protocols: %v", len(b.last.Frames), err)
	}
	if err := h.Clients().All().Send(t.Context(), "M", jsonOnly{}); err != nil || len(b.last.Frames) != 1 {
		t.Errorf("in %d protocols: %v", len(b.last.Frames), err)
	}
	if err := h.Clients().All().Send(t.Context(), "M", func() {}); err == nil {
		t.Error("an argument that cannot be encoded is sent")
	}
}

// jsonOnly cannot be encoded in MessagePack.
type jsonOnly struct {
	C chan int `json:"-"`
}

// A process of another make does not say which method a message has; its name is the key of Conflate.
func TestReceivedMessageWithoutItsMethod(t *testing.T) {
	b := &spy{}
	h := newLab(hub.Options{Backplane: b, SlowConsumers: hub.Conflate})
	c := connect(t, h, clientOptions{})
	for frames, key := range map[string]string{call("", "N", "1") + "\x1e": "N", "nonsense": "", "": ""} {
		if err := b.local.Deliver(hub.Audience{}, hub.Message{Frames: map[string][]byte{"json": []byte(frames)}}); err != nil {
			t.Fatal(err)
		}
		if d := (<-c.conn.queue).Delivery(); d.Policy != frame.Conflate || d.Key != key {
			t.Errorf("%q is delivered as %v", frames, d)
		}
	}
}

// Several processes may ask one client, so the ids of results are random.
func TestResultsOfOtherProcessesHaveTheirOwnIDs(t *testing.T) {
	b := &spy{}
	h := newLab(hub.Options{Backplane: b})
	c := connect(t, h, clientOptions{id: "a"})
	var ids []string
	for range 2 {
		answer := ask(t.Context(), h, "a")
		id := c.question("Result")
		c.send(result(id, "1"))
		<-answer
		ids = append(ids, id)
	}
	if len(ids[0]) != 22 || len(slices.Compact(ids)) != 2 {
		t.Errorf("ids %q", ids)
	}
	m := hub.Message{ID: "x", Method: "Result", Frames: map[string][]byte{"json": []byte(call("x", "Result", "") + "\x1e")}}
	first := make(chan hub.Answer, 1)
	go func() {
		answer, _ := b.local.Ask("a", m)(context.WithoutCancel(t.Context()))
		first <- answer
	}()
	id := c.question("Result")
	if second, err := b.local.Ask("a", m)(t.Context()); err != nil || !second.Failed || !strings.Contains(second.Error, "ID collision") {
		t.Errorf("a second question with the id: %+v, %v", second, err)
	}
	c.send(result(id, `{"n": 1}`))
	if got := <-first; got.Protocol != "json" || string(got.Result) != `{"n": 1}` || got.Failed {
		t.Errorf("got %+v", got)
	}
	if _, err := b.local.Ask("nobody", m)(t.Context()); !errors.Is(err, hub.ErrNoConnection) {
		t.Errorf("nobody: %v", err)
	}
}
