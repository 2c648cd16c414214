package hub_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
)

// How a message is delivered: its own policy stands above the hub's, and a message with
// an id has none.
func TestSlowConsumerPolicies(t *testing.T) {
	for _, c := range []struct {
		hub  hub.SlowPolicy
		to   func(hub.Clients[hub.Sender]) hub.Clients[hub.Sender]
		want frame.Delivery
	}{
		{hub.Disconnect, nil, frame.Delivery{}},
		{hub.DropOldest, nil, frame.Delivery{Policy: frame.DropOldest}},
		{hub.Conflate, nil, frame.Delivery{Policy: frame.Conflate, Key: "M"}},
		{hub.DropOldest, func(c hub.Clients[hub.Sender]) hub.Clients[hub.Sender] {
			return c.SlowConsumers(hub.Disconnect)
		}, frame.Delivery{}},
		{hub.Disconnect, func(c hub.Clients[hub.Sender]) hub.Clients[hub.Sender] {
			return c.SlowConsumers(hub.DropNewest)
		}, frame.Delivery{Policy: frame.DropNewest}},
		{hub.Disconnect, func(c hub.Clients[hub.Sender]) hub.Clients[hub.Sender] {
			return c.Conflate("tick")
		}, frame.Delivery{Policy: frame.Conflate, Key: "tick"}},
	} {
		h := newLab(hub.Options{SlowConsumers: c.hub})
		a := connect(t, h, clientOptions{id: "a"})
		a.send(call("1", "Text", `"x"`))
		if d := (<-a.conn.queue).Delivery(); d != (frame.Delivery{}) {
			t.Errorf("hub's policy %v: a completion is delivered as %v", c.hub, d)
		}
		to := h.Clients()
		if c.to != nil {
			to = c.to(to)
		}
		for _, audience := range []hub.Sender{to.All(), to.Client("a")} {
			if err := audience.Send(t.Context(), "M", 1); err != nil {
				t.Fatal(err)
			}
			if d := (<-a.conn.queue).Delivery(); d != c.want {
				t.Errorf("hub's policy %v: a message is delivered as %v, want %v", c.hub, d, c.want)
			}
		}
	}
}

// To a client that comes back nothing that was counted is dropped: what finds no room is
// left out before it is.
func TestStatefulDropsBeforeCounting(t *testing.T) {
	h := newLab(hub.Options{})
	c := connectStateful(t, h)
	c.session.Interrupted()
	long := string(make([]byte, 1<<16))
	for i := range 100 {
		if err := h.Clients().SlowConsumers(hub.DropOldest).All().Send(t.Context(), "M", i, long); err != nil {
			t.Fatal(err)
		}
	}
	c.session.Resumed()
	c.want(sequence(1))
	var got []int
	for len(c.conn.queue) > 0 {
		var n int
		if _, err := fmt.Sscanf(c.next(), `{"type":1,"target":"M","arguments":[%d,`, &n); err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	if len(got) == 0 || len(got) == 100 || got[len(got)-1] != len(got)-1 || !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
	c.send(ack(len(got)), call("1", "Text", `"x"`))
	c.want(result("1", `"x"`))
}
