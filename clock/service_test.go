package clock_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/testproc"
	"github.com/carillon-go/carillon/protocol"
)

// seen passes on the times that it is shown.
type seen chan time.Time

func (s seen) ShowTime(_ context.Context, now time.Time) error { s <- now; return nil }

// serve starts a clock hub at an address where nobody may have listened before.
func serve(t *testing.T, l net.Listener) {
	t.Helper()
	h := hub.New(hub.Options{})
	clock.Register(h)
	e := endpoint.New(h, endpoint.Options{})
	s := httptest.NewUnstartedServer(http.Handler(e))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		s.Close()
	})
}

// run runs the service until the end of the test.
func run(t *testing.T, s *clock.Service) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestService(t *testing.T) {
	for _, p := range []protocol.HubProtocol{protocol.NewJSON(protocol.JSONOptions{}), protocol.NewMessagePack()} {
		t.Run(p.Name(), func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			url := "http://" + l.Addr().String()
			serve(t, l)
			shown := make(seen, 1)
			conn := client.New(url, client.Options{Protocol: p})
			clock.ReceiveClock(conn, shown)
			if err := conn.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Stop(context.Background()) }()

			c := clock.NewService(url, client.Options{Protocol: p})
			run(t, c)
			now := time.Date(2026, 2, 28, 23, 59, 59, 123456700, time.UTC)
			for c.SendTimeToClients(t.Context(), now) != nil { // until the service is connected
				time.Sleep(time.Millisecond) // it tells nobody when it is
			}
			if got := <-shown; !got.Equal(now) {
				t.Errorf("shown %v, want %v", got, now)
			}
		})
	}
}

// TestServiceWaitsForServer: the service is up before the server is.
func TestServiceWaitsForServer(t *testing.T) {
	address := testproc.FreeAddress()
	tried := make(chan struct{}, 2)
	c := clock.NewService("http://"+address, client.Options{Reconnect: func(client.Retry) (time.Duration, bool) {
		select {
		case tried <- struct{}{}:
		default:
		}
		return time.Millisecond, true
	}})
	run(t, c)
	<-tried
	<-tried
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l)
	for c.SendTimeToClients(t.Context(), time.Now()) != nil {
		time.Sleep(time.Millisecond) // the service tells nobody when it is connected
	}
}
