package integration_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

const (
	progressMessages = 40
	progressBytes    = 3 << 10  // of a message
	progressCut      = 12 << 10 // bytes between two cuts, both ways, requests and answers included
)

// TestStatefulProgress holds a conversation over sockets that each break after the same number of bytes. Many more bytes
// wait for an acknowledgement at any time. The conversation comes to its end, since a message fits between two cuts.
func TestStatefulProgress(t *testing.T) {
	for _, transport := range signalr.Transports() {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			got := make(chan int, progressMessages)
			c, proxy := startProgress(t, transport, got)
			echoed := make(chan int, progressMessages)
			c.On("Down", client.Action2(func(_ context.Context, n int, _ string) error {
				echoed <- n
				return nil
			}))
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := c.Start(ctx); err != nil {
				t.Fatal(err)
			}
			proxy.arm()
			sent := make(chan error, 1)
			go func() { sent <- sendProgress(ctx, c) }()
			inOrder(ctx, t, "server", got)
			inOrder(ctx, t, "client", echoed)
			if err := <-sent; err != nil {
				t.Error(err)
			}
			t.Logf("%d cuts", proxy.cuts.Load())
		})
	}
}

// startProgress serves a hub behind a proxy that cuts once it is armed. The hub notes the numbers that it gets and sends
// each message back.
func startProgress(t *testing.T, transport client.Transport, got chan<- int) (*client.HubConnection, *cutProxy) {
	t.Helper()
	h := hub.New(hub.Options{MaxInvocationsPerSecond: -1})
	h.Handle("Up", hub.Action2(func(ctx context.Context, n int, padding string) error {
		got <- n
		return h.Clients().Caller(ctx).Send(ctx, "Down", n, padding)
	}))
	e := endpoint.New(h, endpoint.Options{Options: transports.Options{AllowStatefulReconnect: true}})
	server := httptest.NewServer(e)
	proxy := newCutProxy(t, strings.TrimPrefix(server.URL, "http://"), progressCut, progressCut+1)
	c := client.New(proxy.url(), client.Options{Transports: []client.Transport{transport}, Memory: client.NewMemory(), StatefulReconnect: true})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return c, proxy
}

func sendProgress(ctx context.Context, c *client.HubConnection) error {
	for n := range progressMessages {
		if err := c.Send(ctx, "Up", n, strings.Repeat("x", progressBytes)); err != nil {
			return err
		}
	}
	return nil
}

func inOrder(ctx context.Context, t *testing.T, side string, numbers <-chan int) {
	t.Helper()
	for want := range progressMessages {
		select {
		case n := <-numbers:
			if n != want {
				t.Fatalf("the %s got %d, not %d", side, n, want)
			}
		case <-ctx.Done():
			t.Fatalf("the %s waits for message %d", side, want)
		}
	}
}
