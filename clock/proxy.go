package clock

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// clients is the Clock of an audience: each call goes to all its clients.
type clients struct{ sender hub.Sender }

var _ Clock = clients{}

// Proxy returns the typed form of an audience.
func Proxy(s hub.Sender) Clock { return clients{s} }

func (c clients) ShowTime(ctx context.Context, now time.Time) error {
	return c.sender.Send(ctx, showTime, now)
}
