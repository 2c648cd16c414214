package worker

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/hub"
)

// DefaultInterval is the time between two ticks of the clock.
const DefaultInterval = time.Second

// Clock is the service that sends the time to every client of the clock hub: once at its
// start, and then at each interval. It knows neither transports nor encodings. Of several
// processes with a backplane, each sends to its own clients.
type Clock struct {
	// Clocks is the hub's context. Required.
	Clocks hub.Context[clock.Clock]
	// Interval between two ticks. Default DefaultInterval.
	Interval time.Duration
}

// Run ticks until ctx is cancelled. If sending takes longer than the interval, ticks are
// skipped.
func (c Clock) Run(ctx context.Context) error {
	interval := c.Interval
	if interval <= 0 {
		interval = DefaultInterval
	}
	clients := c.Clocks.Clients().Local().Conflate("tick").All() // a slow client gets the newest time only
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := clients.ShowTime(ctx, time.Now()); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
