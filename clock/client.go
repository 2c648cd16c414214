package clock

import (
	"context"
	"log/slog"
	"time"

	"github.com/carillon-go/carillon/client"
)

// Receive registers c as the receiver of a clock hub's invocations on conn.
func Receive(conn *client.HubConnection, c Clock) {
	conn.On(showTime, client.Action1(c.ShowTime))
}

// ClockHubClient is the client side: a service that connects to a clock hub and logs
// each received time.
type ClockHubClient struct {
	conn *client.HubConnection
	log  *slog.Logger
}

var _ Clock = (*ClockHubClient)(nil)

// NewClockHubClient returns a client of the clock hub at url. Unless options set a
// policy, it reconnects for ever and waits for a server that has not started yet.
func NewClockHubClient(url string, o client.Options) *ClockHubClient {
	if o.Reconnect == nil {
		o.Reconnect = client.ReconnectForever(0, 0)
	}
	c := &ClockHubClient{conn: client.New(url, o), log: o.Logger}
	if c.log == nil {
		c.log = slog.Default()
	}
	Receive(c.conn, c)
	return c
}

// ShowTime logs the time.
func (c *ClockHubClient) ShowTime(ctx context.Context, now time.Time) error {
	c.log.InfoContext(ctx, "current time", "time", now)
	return nil
}

// SendTimeToClients asks the hub to send a time to all its clients.
func (c *ClockHubClient) SendTimeToClients(ctx context.Context, now time.Time) error {
	return c.conn.Invoke(ctx, sendTimeToClients, now)
}

// Run connects and stays connected until ctx ends; it is a worker.Service.
func (c *ClockHubClient) Run(ctx context.Context) error { return c.conn.Run(ctx) }
