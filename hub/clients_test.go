package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
)

// audience connects a b c; a and b are alice's.
func audience(t *testing.T, h *hub.Hub) map[string]*client {
	t.Helper()
	return map[string]*client{
		"a": connect(t, h, clientOptions{id: "a", user: "alice"}),
		"b": connect(t, h, clientOptions{id: "b", user: "alice"}),
		"c": connect(t, h, clientOptions{id: "c"}),
	}
}

func TestAudiences(t *testing.T) {
	h := newLab(hub.Options{})
	var caller context.Context
	h.Handle("Me", hub.Action0(func(ctx context.Context) error {
		caller = ctx
		return nil
	}))
	all := audience(t, h)
	all["a"].send(call("1", "Me", ""))
	all["a"].want(result("1", "null"))
	ctx, to, groups := t.Context(), h.Clients(), h.Groups()
	for _, m := range []struct{ id, group string }{{"a", "g"}, {"b", "g"}, {"b", "k"}, {"c", "k"}} {
		if err := groups.Add(ctx, m.id, m.group); err != nil {
			t.Fatal(err)
		}
	}
	if !twoHubs.on { // another process does not say that it lacks a connection
		if err := groups.Add(ctx, "nobody", "g"); err != nil {
			t.Fatal(err)
		}
	}
	for i, step := range []struct {
		to  hub.Sender
		got string
	}{
		{to.All(), "abc"},
		{to.AllExcept("a", "x"), "bc"},
		{to.Client("b"), "b"},
		{to.Client("nobody"), ""},
		{to.Clients("a", "c", "a"), "ac"},
		{to.Clients(), ""},
		{to.Group("g"), "ab"},
		{to.Group("none"), ""},
		{to.GroupExcept("g", "a"), "b"},
		{to.Groups("g", "k"), "abbc"},
		{to.User("alice"), "ab"},
		{to.Users("alice", "bob"), "ab"},
		{to.User(""), ""},
		{to.Caller(caller), "a"},
		{to.Others(caller), "bc"},
		{to.OthersInGroup(caller, "g"), "b"},
		{to.Caller(ctx), ""},
		{to.Others(ctx), "abc"},
	} {
		if err := step.to.Send(ctx, "M", i); err != nil {
			t.Fatal(err)
		}
		for _, id := range step.got { // a message of another step is one too many
			all[string(id)].want(fmt.Sprintf(`{"type":1,"target":"M","arguments":[%d]}`, i))
		}
		for _, id := range []string{"a", "b", "c"} {
			if n := len(all[id].conn.queue); n > 0 {
				t.Errorf("%d: %s got %d more", i, id, n)
			}
		}
	}
	if err := to.All().Send(ctx, "End"); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		c.want(`{"type":1,"target":"End","arguments":[]}`)
	}
}

func TestGroupsEndWithTheConnection(t *testing.T) {
	h := newLab(hub.Options{})
	ctx := t.Context()
	c := connect(t, h, clientOptions{id: "a"})
	groups := h.Groups()
	_ = groups.Add(ctx, "a", "g")
	_ = groups.Add(ctx, "a", "k")
	_ = groups.Remove(ctx, "a", "k")
	_ = groups.Remove(ctx, "a", "k")
	c.close()
	again := connect(t, h, clientOptions{id: "a"})
	_ = h.Clients().Groups("g", "k").Send(ctx, "M")
	_ = groups.Add(ctx, "a", "k")
	_ = h.Clients().Group("k").Send(ctx, "N")
	again.want(`{"type":1,"target":"N","arguments":[]}`)
}

func TestBroadcastIsEncodedOnce(t *testing.T) {
	h := newLab(hub.Options{})
	var frames []*frame.Frame
	var clients []*client
	for i := range 3 {
		clients = append(clients, connect(t, h, clientOptions{id: fmt.Sprint(i)}))
	}
	binary := dial(t, h, clientOptions{id: "mp"})
	binary.send(`{"protocol":"messagepack","version":1}`)
	if f := <-binary.conn.queue; !f.Binary() {
		t.Error("the answer to a binary handshake is text")
	}
	_ = h.Clients().All().Send(t.Context(), "M", 1)
	for _, c := range clients {
		frames = append(frames, <-c.conn.queue)
	}
	if frames[0] != frames[1] || frames[1] != frames[2] {
		t.Error("the frames are not shared")
	}
	if f := <-binary.conn.queue; !f.Binary() || string(f.Payload()) != "\x09\x96\x01\x80\xc0\xa1M\x91\x01\x90" {
		t.Errorf("got %x", f.Payload())
	}
}

func TestSlowConsumer(t *testing.T) {
	h := newLab(hub.Options{})
	slow := connect(t, h, clientOptions{id: "slow", capacity: 3})
	good := connect(t, h, clientOptions{id: "good"})
	for i := range 10 {
		if err := h.Clients().All().Send(t.Context(), "M", i); err != nil {
			t.Fatal(err)
		}
	}
	<-slow.finished
	if !slow.conn.aborted || !errors.Is(slow.conn.cause, hub.ErrSlowConsumer) {
		t.Errorf("aborted %v for %v", slow.conn.aborted, slow.conn.cause)
	}
	for i := range 10 {
		good.want(fmt.Sprintf(`{"type":1,"target":"M","arguments":[%d]}`, i))
	}
}

func TestSendingToTheCallerWaits(t *testing.T) {
	h := newLab(hub.Options{})
	h.Handle("Many", hub.Action1(func(ctx context.Context, n int) error {
		for i := range n {
			if err := h.Clients().Client(hub.CallerFrom(ctx).ConnectionID()).Send(ctx, "M", i); err != nil {
				return err
			}
		}
		return nil
	}))
	c := connect(t, h, clientOptions{capacity: 3})
	c.send(call("1", "Many", "1000"))
	for i := range 1000 {
		c.want(fmt.Sprintf(`{"type":1,"target":"M","arguments":[%d]}`, i))
	}
	c.want(result("1", "null"))
}

func TestOrderOfOneSender(t *testing.T) {
	h := newLab(hub.Options{})
	const senders, each = 8, 200
	c := connect(t, h, clientOptions{id: "a", capacity: senders * each})
	_ = h.Groups().Add(t.Context(), "a", "g")
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				to := h.Clients().All()
				if i%2 == 1 {
					to = h.Clients().Group("g")
				}
				_ = to.Send(context.Background(), fmt.Sprint(s), i)
			}
		})
	}
	// The order of one sender to a client of its own process is that of its calls. At other
	// processes there is one for each audience.
	var next [2 * senders]int
	step := 1
	if twoHubs.on && twoHubs.apart {
		step = 2
		for s := range senders {
			next[2*s+1] = 1
		}
	}
	for range senders * each {
		var s, i int
		if _, err := fmt.Sscanf(c.next(), `{"type":1,"target":"%d","arguments":[%d]}`, &s, &i); err != nil {
			t.Fatal(err)
		}
		stream := 2*s + (step-1)*(i%2)
		if i != next[stream] {
			t.Fatalf("sender %d: %d, want %d", s, i, next[stream])
		}
		next[stream] += step
	}
	wg.Wait()
}

// Clients come, join, leave and go while others send; nothing may be left over.
func TestMembershipRaces(t *testing.T) {
	h := newLab(hub.Options{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 50 {
				id := fmt.Sprintf("%d-%d", w, i)
				c := connect(t, h, clientOptions{id: id, user: fmt.Sprint(i % 3)})
				wg.Go(func() { _ = h.Groups().Add(context.Background(), id, "g") })
				wg.Go(func() { _ = h.Clients().Group("g").Send(context.Background(), "M") })
				_ = h.Clients().User("1").Send(context.Background(), "M")
				c.close()
			}
		})
	}
	wg.Wait()
	if left := hub.Left(h); left != "" {
		t.Error(left)
	}
}

func TestBroadcastThatCannotBeEncoded(t *testing.T) {
	h := newLab(hub.Options{})
	c := connect(t, h, clientOptions{})
	if err := h.Clients().All().Send(t.Context(), "M", func() {}); err == nil {
		t.Error("no error")
	}
	c.send(call("1", "Text", `"x"`))
	c.want(result("1", `"x"`))
}
