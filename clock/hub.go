package clock

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// ClockHub is the server side: the methods that clients may invoke.
type ClockHub struct {
	clocks hub.Context[Clock]
}

// Register makes h a clock hub. It returns the context by which code outside the hub,
// such as a worker, sends to its clients.
func Register(h *hub.Hub) hub.Context[Clock] {
	c := &ClockHub{clocks: hub.NewContext(h, Proxy)}
	h.Handle(sendTimeToClients, hub.Action1(c.SendTimeToClients))
	return c.clocks
}

// SendTimeToClients sends the caller's time to every client, including the caller.
func (c *ClockHub) SendTimeToClients(ctx context.Context, now time.Time) error {
	return c.clocks.Clients().All().ShowTime(ctx, now)
}
