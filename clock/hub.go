package clock

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// ClockHub is the server's side: what clients may invoke.
type ClockHub struct {
	clocks hub.Context[Clock]
}

// Register makes h a clock hub and returns the context through which code outside
// the hub, such as a worker, sends to its clients.
func Register(h *hub.Hub) hub.Context[Clock] {
	c := &ClockHub{clocks: hub.NewContext(h, Proxy)}
	h.Handle(sendTimeToClients, hub.Action1(c.SendTimeToClients))
	return c.clocks
}

// SendTimeToClients shows the caller's time to every client, the caller included.
func (c *ClockHub) SendTimeToClients(ctx context.Context, now time.Time) error {
	return c.clocks.Clients().All().ShowTime(ctx, now)
}
