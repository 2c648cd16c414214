//go:build linux

package appserver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/internal/appserver"
	"github.com/carillon-go/carillon/protocol"
)

// crowd are clients that invoke all the time and get messages of a group.
type crowd struct {
	t        *testing.T
	ctx      context.Context
	running  sync.WaitGroup
	all      []*member
	answered atomic.Int64
	lost     atomic.Int64 // invocations that failed because their server was lost
}

type member struct {
	*client.HubConnection
	id   string
	last atomic.Int64 // the newest message of the group
}

// newCrowd connects clients by all transports and protocols to the application at url.
func newCrowd(ctx context.Context, t *testing.T, url string, n int) *crowd {
	t.Helper()
	c := &crowd{t: t, ctx: ctx}
	ways := []client.Options{
		{}, {Protocol: protocol.NewMessagePack()},
		{Transports: []client.Transport{client.ServerSentEvents}},
		{Transports: []client.Transport{client.LongPolling}},
		{Transports: []client.Transport{client.LongPolling}, Protocol: protocol.NewMessagePack()},
	}
	for i := range n {
		m := &member{HubConnection: client.New(url+"/testhub", ways[i%len(ways)])}
		m.On("Tick", client.Action1(func(_ context.Context, number int64) error {
			if before := m.last.Swap(number); number <= before {
				t.Errorf("client %d got the message %d of the group after %d", i, number, before)
			}
			return nil
		}))
		m.OnStateChange(func(_ context.Context, change client.StateChange) {
			if ctx.Err() == nil && change.To != client.Connected && change.To != client.Connecting {
				t.Errorf("client %d: %v to %v: %v", i, change.From, change.To, change.Err)
			}
		})
		start, cancel := context.WithTimeout(ctx, time.Minute)
		if err := m.Start(start); err != nil {
			t.Fatal(err)
		}
		var err error
		if m.id, err = client.Invoke[string](start, m.HubConnection, "GetCallerConnectionId"); err != nil {
			t.Fatal(err)
		}
		cancel()
		c.all = append(c.all, m)
	}
	return c
}

// run invokes and waits for the answers, as often as it can with a pause, until ctx ends.
func (c *crowd) run(pause time.Duration) {
	for i, m := range c.all {
		c.running.Go(func() {
			for n := 0; c.ctx.Err() == nil; n++ {
				text := fmt.Sprintf("%d-%d", i, n)
				ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 50*time.Second)
				got, err := client.Invoke[string](ctx, m.HubConnection, "Echo", text)
				cancel()
				switch {
				case err == nil && got == text:
					c.answered.Add(1)
				case err != nil && strings.Contains(err.Error(), "application server was lost"):
					c.lost.Add(1)
				default:
					c.t.Errorf("client %d: Echo of %q: %q, %v", i, text, got, err)
					return
				}
				time.Sleep(pause) //nolint:forbidigo // the rate of the load
			}
		})
	}
}

func (c *crowd) stop() {
	c.running.Wait()
	for _, m := range c.all {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		if err := m.Stop(ctx); err != nil && !errors.Is(err, client.ErrNotConnected) {
			c.t.Error(err)
		}
		cancel()
	}
}

// publish sends numbered messages to a group of all clients until ctx ends. It returns the last number.
func (s *service) publish(ctx context.Context, t *testing.T, hubName string, c *crowd) (last func() int64) {
	h := s.hubs[hubName].hosted.Hub
	for _, m := range c.all {
		if err := h.Groups().Add(ctx, m.id, "all"); err != nil {
			t.Fatal(err)
		}
	}
	var number atomic.Int64
	c.running.Go(func() {
		for ctx.Err() == nil {
			if err := h.Clients().Group("all").Send(context.WithoutCancel(ctx), "Tick", number.Add(1)); err != nil {
				t.Error(err)
			}
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the rate of the load
		}
	})
	return number.Load
}

// Applications are killed, or end in order, one after the other, and no client notices anything but the
// invocations that the lost server had accepted.
func TestClientsOfAnApplicationThatEndsMove(t *testing.T) {
	for _, c := range []struct {
		name     string
		takeover appserver.Takeover
		args     []string
		servers  int
		end      func(*application) error
	}{
		{"killed, two servers", appserver.Always, nil, 2, (*application).kill},
		{"killed, one server", appserver.Always, nil, 1, (*application).kill},
		{"in order, two servers", appserver.Asked, []string{"-azure-shutdown", "MigrateClients"}, 2, (*application).stop},
		{"in order, one server", appserver.Asked, []string{"-azure-shutdown", "MigrateClients"}, 1, (*application).stop},
		{"in order with fin:0, two servers", appserver.Ordered, nil, 2, (*application).stop},
	} {
		t.Run(c.name, func(t *testing.T) {
			clients, times := 25, 2
			if *long {
				clients, times = 500, 20
			}
			s := newService(t, c.takeover)
			program := reference(t, "aspnet")
			var all []*application
			for range c.servers {
				all = append(all, s.start(t, program, c.args...))
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			crowd := newCrowd(ctx, t, all[0].url, clients)
			last := s.publish(ctx, t, "testhub", crowd)
			crowd.run(100 * time.Millisecond)
			for i := range times {
				a := all[i%len(all)]
				time.Sleep(time.Second) //nolint:forbidigo // the load goes on
				if err := c.end(a); err != nil {
					t.Error(err)
				}
				before := crowd.answered.Load()
				a.again(t)
				waitFor(t, func() bool { return crowd.answered.Load() >= before+int64(2*clients) })
			}
			time.Sleep(time.Second) //nolint:forbidigo // the load goes on
			sent := last()
			for i, m := range crowd.all {
				waitFor(t, func() bool { return m.last.Load() >= sent })
				if m.last.Load() < sent {
					t.Errorf("client %d has message %d of the group, not %d", i, m.last.Load(), sent)
				}
			}
			cancel()
			crowd.stop()
			t.Logf("%d invocations answered, %d lost with their server", crowd.answered.Load(), crowd.lost.Load())
			if crowd.lost.Load() > 0 && c.takeover != appserver.Always {
				t.Errorf("%d invocations failed although the servers ended in order", crowd.lost.Load())
			}
		})
	}
}
