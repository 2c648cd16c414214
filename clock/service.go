package clock

import (
	"context"
	"log/slog"
	"time"

	"github.com/carillon-go/carillon/client"
)

// Service is the client side as a service: it connects to a clock hub and logs each
// received time. Its ClockHubClient invokes the methods of the hub.
type Service struct {
	*ClockHubClient
	conn *client.HubConnection
	log  *slog.Logger
}

var _ Clock = (*Service)(nil)

// NewService returns a service for the clock hub at url. Unless options set a policy, it
// reconnects for ever and waits for a server that has not started yet.
func NewService(url string, o client.Options) *Service {
	if o.Reconnect == nil {
		o.Reconnect = client.ReconnectForever(0, 0)
	}
	conn := client.New(url, o)
	s := &Service{ClockHubClient: NewClockHubClient(conn), conn: conn, log: o.Logger}
	if s.log == nil {
		s.log = slog.Default()
	}
	ReceiveClock(conn, s)
	return s
}

// ShowTime logs the time.
func (s *Service) ShowTime(ctx context.Context, now time.Time) error {
	s.log.InfoContext(ctx, "current time", "time", now)
	return nil
}

// Run connects and stays connected until ctx ends; it is a worker.Service.
func (s *Service) Run(ctx context.Context) error { return s.conn.Run(ctx) }
