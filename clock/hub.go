package clock

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// server is the server side of the clock.
type server struct{ clocks hub.Context[Clock] }

// Register makes h a clock hub. It returns the context by which code outside the hub,
// such as a worker, sends to its clients.
func Register(h *hub.Hub) hub.Context[Clock] {
	clocks := NewClockContext(h)
	RegisterClockHub(h, server{clocks})
	return clocks
}

// SendTimeToClients implements [ClockHub].
func (s server) SendTimeToClients(ctx context.Context, now time.Time) error {
	return s.clocks.Clients().All().ShowTime(ctx, now)
}
