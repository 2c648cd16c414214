package backplane

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faulty is a broker that can be cut off from the others.
type faulty struct {
	Broker
	first    sync.Once
	receiver Receiver

	mu     sync.Mutex
	down   bool     // publishing fails, and nothing is received
	silent bool     // published, but the outcome is not known
	kept   []func() // publications that are late
}

func (f *faulty) Subscribe(ctx context.Context, r Receiver, channels ...string) error {
	f.first.Do(func() { f.receiver = r })
	return f.Broker.Subscribe(ctx, f, channels...)
}

func (f *faulty) Receive(channel string, payload []byte) { f.receiver.Receive(channel, payload) }

func (f *faulty) Changed(degraded bool) { f.receiver.Changed(degraded) }

func (f *faulty) Publish(ctx context.Context, payload []byte, channels ...string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.down:
		return 0, ErrUnavailable
	case f.silent:
		f.kept = append(f.kept, func() { _, _ = f.Broker.Publish(context.Background(), payload, channels...) })
		return 0, ErrLost
	}
	f.mu.Unlock()
	defer f.mu.Lock()
	return f.Broker.Publish(ctx, payload, channels...)
}

func (f *faulty) set(down, silent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down, f.silent = down, silent
}

// late publishes what was kept.
func (f *faulty) late() {
	f.mu.Lock()
	kept := f.kept
	f.kept = nil
	f.mu.Unlock()
	for _, publish := range kept {
		publish()
	}
}

// joined are two hubs, and clients at both that receive "Say".
type joined struct {
	hubs   [2]*hub.Hub
	planes [2]*Backplane
	broker [2]*faulty
	said   [2]chan string
	ids    [2]string
}

func join(t *testing.T, o Options) *joined {
	t.Helper()
	j := &joined{}
	var m Memory
	o.Hub = "Chat"
	for i, user := range []string{"alice", "bob"} {
		j.broker[i] = &faulty{Broker: m.Broker()}
		j.planes[i] = New(j.broker[i], o)
		t.Cleanup(j.planes[i].Close)
		j.hubs[i] = hub.New(hub.Options{Backplane: j.planes[i]})
		connected := make(chan struct{}, 100)
		j.hubs[i].OnConnected(func(context.Context) error { connected <- struct{}{}; return nil })
		j.said[i] = make(chan string, 1000)
		c := hubtest.New(t, j.hubs[i], hubtest.As(user))
		c.On("Say", client.Action1(func(_ context.Context, text string) error { j.said[i] <- text; return nil }))
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-connected // it has joined
		j.ids[i] = c.ConnectionID()
	}
	return j
}

func (j *joined) want(t *testing.T, node int, texts ...string) {
	t.Helper()
	for _, want := range texts {
		if got := <-j.said[node]; got != want {
			t.Fatalf("client %d got %q, want %q", node, got, want)
		}
	}
}

// Joined hubs are one for their clients, and keep nothing of those that have left.
func TestJoinedHubs(t *testing.T) {
	var j *joined
	t.Run("with clients", func(t *testing.T) {
		j = join(t, Options{})
		ctx, id := t.Context(), j.ids[1]
		one := j.hubs[0]
		if err := one.Groups().Add(ctx, id, "g"); err != nil {
			t.Fatal(err)
		}
		for i, to := range []hub.Sender{one.Clients().Group("g"), one.Clients().User("bob"), one.Clients().Client(id), one.Clients().All()} {
			text := string(rune('a' + i))
			if err := to.Send(ctx, "Say", text); err != nil {
				t.Fatal(err)
			}
			j.want(t, 1, text)
		}
		j.want(t, 0, "d")
		if err := one.Groups().Remove(ctx, id, "g"); err != nil {
			t.Fatal(err)
		}
		if err := one.Clients().Group("g").Send(ctx, "Say", "x"); err != nil {
			t.Fatal(err)
		}
		if err := one.Clients().All().Send(ctx, "Say", "y"); err != nil {
			t.Fatal(err)
		}
		j.want(t, 1, "y")
	})
	for i, b := range j.planes {
		if n := j.broker[i].State().Subscribed; n != 0 || len(b.members.of) != 0 {
			t.Errorf("node %d keeps %d subscriptions", i, n)
		}
		if n := b.copies.count.Load(); n != 0 || len(b.copies.byChannel) != 0 {
			t.Errorf("node %d keeps %d copies", i, n)
		}
		if err := b.Send(t.Context(), hub.Audience{}, hub.Message{}); !errors.Is(err, errClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// A name of a channel has members for a moment after the last one has left, and each member
// counts.
func TestSubscriptionsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		broker := m.Broker()
		b := New(broker, Options{Hub: "Chat"})
		hub.New(hub.Options{Backplane: b})
		group := hub.Audience{Kind: hub.InGroups, Names: []string{"g"}}
		connection := hub.Audience{Kind: hub.ToConnections, Names: []string{"c"}}
		subscribed := func(want int) {
			t.Helper()
			synctest.Wait()
			if got := broker.State().Subscribed - 4; got != want {
				t.Errorf("%d channels are subscribed, want %d", got, want)
			}
		}
		for range 2 {
			if err := b.Join(t.Context(), group, connection); err != nil {
				t.Fatal(err)
			}
		}
		b.Leave(group, connection)
		subscribed(2)
		b.Leave(group, connection)
		subscribed(1)
		time.Sleep(lingerTime - time.Millisecond) // of the bubble
		subscribed(1)
		if err := b.Join(t.Context(), group); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // of the bubble
		subscribed(1)
		b.Leave(group)
		time.Sleep(lingerTime) // of the bubble
		subscribed(0)
		b.Close()
		subscribed(-4)
	})
}

// What a process sends while the broker is lost reaches its own clients at once and in order; a
// copy that comes later is not delivered again.
func TestLossOfTheBroker(t *testing.T) {
	for _, o := range []Options{{}, {LocalFirst: true}, {FailWhenLost: true}} {
		t.Run(fmt.Sprintf("LocalFirst: %t, FailWhenLost: %t", o.LocalFirst, o.FailWhenLost), func(t *testing.T) { testLoss(t, join(t, o)) })
	}
}

func testLoss(t *testing.T, j *joined) {
	ctx, all := t.Context(), j.hubs[0].Clients().All()
	unavailable, lost := ErrUnavailable, ErrLost
	if !j.planes[0].options.FailWhenLost {
		unavailable, lost = nil, nil
	}
	j.broker[0].set(false, true)
	if err := all.Send(ctx, "Say", "uncertain"); !errors.Is(err, lost) {
		t.Errorf("a message that may be lost elsewhere: %v", err)
	}
	if err := j.hubs[0].Groups().Add(ctx, j.ids[1], "g"); !errors.Is(err, ErrLost) {
		t.Errorf("a command that may be lost: %v", err)
	}
	j.want(t, 0, "uncertain")
	j.broker[0].Changed(true)
	j.broker[0].set(true, false)
	for i := range 5 {
		if err := all.Send(ctx, "Say", fmt.Sprint(i)); !errors.Is(err, unavailable) {
			t.Errorf("a message that is lost elsewhere: %v", err)
		}
	}
	j.want(t, 0, "0", "1", "2", "3", "4")
	if err := j.hubs[0].Clients().Client(j.ids[1]).Send(ctx, "Say", "x"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a client elsewhere: %v", err)
	}
	if err := j.hubs[0].Groups().Add(ctx, j.ids[1], "g"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a group of a client elsewhere: %v", err)
	}
	if _, err := hub.Invoke[int](ctx, j.hubs[0].Clients().Client(j.ids[1]), "Ask"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a question to a client elsewhere: %v", err)
	}
	j.broker[0].set(false, false)
	if err := all.Send(ctx, "Say", "still degraded"); err != nil {
		t.Error(err)
	}
	j.want(t, 0, "still degraded")
	j.broker[0].Changed(false)
	j.broker[0].late()
	if err := all.Send(ctx, "Say", "back"); err != nil {
		t.Error(err)
	}
	j.want(t, 0, "back")
	j.want(t, 1, "still degraded", "uncertain", "back")
}

// A copy that does not come after the broker has answered is not remembered for long: the same
// payload of another process is delivered.
func TestCopiesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c copies
		payload := []byte("x")
		late := func() bool {
			_, late := c.received("all", payload)
			return late
		}
		c.changed(true)
		for range 3 {
			own := &ownCopy{channel: "all"}
			c.expect(own, payload)
			c.answered(own)
		}
		time.Sleep(10 * time.Second) // of the bubble: many channels are subscribed again
		if !late() {
			t.Error("the copy is not dropped")
		}
		c.changed(false)
		c.changed(true)
		if !late() {
			t.Error("the copy is not dropped after the return")
		}
		time.Sleep(answeredTime) // of the bubble
		if late() {
			t.Error("the payload of another process is dropped")
		}
		c.expect(&ownCopy{channel: "all"}, payload)
		time.Sleep(lateTime - time.Millisecond) // of the bubble
		if !late() || late() {
			t.Error("a copy is dropped once, while it may come")
		}
		waits := &ownCopy{channel: "all"}
		c.changed(false)
		c.expect(waits, payload)
		c.answered(waits)
		c.changed(true)
		time.Sleep(answeredTime) // of the bubble
		if late() {
			t.Error("the payload of another process is dropped after a loss")
		}
		for range 2 * maxLate {
			c.expect(&ownCopy{channel: "all"}, payload)
		}
		if n := c.count.Load(); n != maxLate {
			t.Errorf("%d are remembered", n)
		}
		time.Sleep(lateTime) // of the bubble
		if late() || c.count.Load() != 0 {
			t.Errorf("%d are remembered for ever", c.count.Load())
		}
	})
}

// hushed is a broker whose publications are counted and do not arrive.
type hushed struct {
	Broker
	published atomic.Int32
}

func (h *hushed) Publish(context.Context, []byte, ...string) (int, error) {
	h.published.Add(1)
	return 1, nil
}

// A message to a group whose last member has left waits for its copy while the channel lingers:
// otherwise a member that joins after it would get it.
func TestCopiesOfALingeringChannelAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		b := New(&hushed{Broker: m.Broker()}, Options{Hub: "Chat"})
		defer b.Close()
		h := hub.New(hub.Options{Backplane: b})
		group := hub.Audience{Kind: hub.InGroups, Names: []string{"g"}}
		if err := b.Join(t.Context(), group); err != nil {
			t.Fatal(err)
		}
		b.Leave(group)
		sent := make(chan error, 1)
		go func() { sent <- h.Clients().Group("g").Send(context.Background(), "M") }()
		synctest.Wait()
		if len(sent) != 0 {
			t.Error("the copy is not awaited")
		}
		if err := <-sent; err != nil { // when the channel lingers no longer
			t.Error(err)
		}
	})
}

// A message whose copy does not come is delivered when the broker is declared lost, and not before.
func TestOwnCopiesAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Memory
		broker := &hushed{Broker: m.Broker()}
		b := New(broker, Options{Hub: "Chat"})
		defer b.Close()
		h := hub.New(hub.Options{Backplane: b})
		var sent atomic.Int32
		for range 3 {
			go func() {
				_ = h.Clients().All().Send(context.Background(), "M")
				sent.Add(1)
			}()
		}
		time.Sleep(time.Hour) // of the bubble
		if sent.Load() != 0 || broker.published.Load() != 3 {
			t.Errorf("%d are sent, %d published", sent.Load(), broker.published.Load())
		}
		b.Changed(true)
		synctest.Wait()
		if sent.Load() != 3 {
			t.Errorf("%d are sent after the loss", sent.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b.Changed(false)
		if err := h.Clients().All().Send(ctx, "M"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := h.Groups().Add(t.Context(), "nobody", "g"); !errors.Is(err, ErrAckTimeout) {
			t.Errorf("a command without an acknowledgement: %v", err)
		}
		if err := h.Groups().Add(ctx, "nobody", "g"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a command of a ctx that is done: %v", err)
		}
		if _, err := hub.Invoke[int](t.Context(), h.Clients().Client("nobody"), "Ask"); !errors.Is(err, ErrAnswerTimeout) {
			t.Errorf("a question without an answer: %v", err)
		}
	})
}

// Hubs of one name would take each other's messages from a broker that they share, and so would
// hubs that share a backplane.
func TestTwoHubsOfOneName(t *testing.T) {
	var m Memory
	broker, o := m.Broker(), Options{Hub: "Chat"}
	wantPanic := func(want string, f func()) {
		t.Helper()
		defer func() {
			if got := fmt.Sprint(recover()); !strings.Contains(got, want) {
				t.Errorf("panic %q, want %q", got, want)
			}
		}()
		f()
	}
	first := New(broker, o)
	hub.New(hub.Options{Backplane: first})
	wantPanic("same backplane", func() { hub.New(hub.Options{Backplane: first}) })
	wantPanic(`"Chat"`, func() { New(broker, o) })
	wantPanic(`"Chat"`, func() { New(broker, Options{ChannelPrefix: "Ch", Hub: "at"}) })
	for _, other := range []*Backplane{New(broker, Options{Hub: "Clock"}), New(m.Broker(), o)} {
		other.Close()
	}
	first.Close()
	New(broker, o).Close()
}

// Local audiences have the clients of their own process, without the broker, and also while it is lost.
func TestLocalAudiences(t *testing.T) {
	j := join(t, Options{})
	ctx, here := t.Context(), j.hubs[0].Clients().Local()
	for i, to := range []hub.Sender{here.All(), here.Users("alice", "bob"), here.Clients(j.ids[0], j.ids[1])} {
		text := string(rune('a' + i))
		if err := to.Send(ctx, "Say", text); err != nil {
			t.Fatal(err)
		}
		j.want(t, 0, text)
	}
	if _, err := hub.Invoke[string](ctx, here.Client(j.ids[1]), "Ask"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a client elsewhere is asked: %v", err)
	}
	if got := j.planes[0].Stats().Published; got != 0 {
		t.Errorf("%d publications", got)
	}
	if err := j.hubs[0].Clients().All().Send(ctx, "Say", "x"); err != nil {
		t.Fatal(err)
	}
	j.want(t, 1, "x")
}
