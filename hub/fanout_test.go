package hub_test

import (
	"fmt"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

// A fan-out to many runs on several cores: each of them gets every message, in order.
func TestFanOutToACrowd(t *testing.T) {
	h := newLab(hub.Options{})
	clients := make([]*client, 1100)
	for i := range clients {
		clients[i] = connect(t, h, clientOptions{id: fmt.Sprint(i)})
		_ = h.Groups().Add(t.Context(), fmt.Sprint(i), "g")
	}
	for n := range 3 {
		_ = h.Clients().AllExcept("7").Send(t.Context(), "All", n)
		_ = h.Clients().Group("g").Send(t.Context(), "Group", n)
	}
	for i, c := range clients {
		for n := range 3 {
			if i != 7 {
				c.want(fmt.Sprintf(`{"type":1,"target":"All","arguments":[%d]}`, n))
			}
			c.want(fmt.Sprintf(`{"type":1,"target":"Group","arguments":[%d]}`, n))
		}
	}
	if err := h.Clients().All().Send(t.Context(), "Bad", make(chan int)); err == nil {
		t.Error("what has no encoding is sent")
	}
}
