package integration_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// drainPatience is how long a drain, and whoever waits for it, is given.
const drainPatience = time.Minute

// drained is a hub whose methods are under way while it drains.
type drained struct {
	began   chan struct{} // something of each method has come
	release chan struct{} // closed: Work may end
}

func (d *drained) work(ctx context.Context) (string, error) {
	d.began <- struct{}{}
	select {
	case <-d.release:
		return "done", nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func (d *drained) sum(_ context.Context, numbers hub.Upload[int]) (sum int, err error) {
	for n, err := range numbers.All() {
		if err != nil {
			return 0, err
		}
		if sum == 0 {
			d.began <- struct{}{}
		}
		sum += n
	}
	return sum, nil
}

// TestDrainFinishesWhatRuns: an invocation and an upload that are under way when the drain begins come to their end, on
// every transport, and only then is their client sent away.
func TestDrainFinishesWhatRuns(t *testing.T) {
	for _, transport := range signalr.Transports() {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			d := &drained{began: make(chan struct{}, 2), release: make(chan struct{})}
			h := hub.New(hub.Options{})
			h.Handle("Work", hub.Func0(d.work))
			h.Handle("Sum", hub.Func1(d.sum))
			e := endpoint.New(h, endpoint.Options{})
			server := httptest.NewServer(e)
			defer server.Close()
			drain(t, e, d, server.URL, transport)
		})
	}
}

func drain(t *testing.T, e *endpoint.Endpoint, d *drained, url string, transport transports.Type) {
	ctx, cancel := context.WithTimeout(t.Context(), drainPatience)
	defer cancel()
	c := client.New(url, client.Options{Transports: []client.Transport{transport}, Memory: client.NewMemory()})
	ended := make(chan error, 1)
	c.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.To == client.Disconnected {
			ended <- change.Err
		}
	})
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	worked, summed := make(chan error, 1), make(chan error, 1)
	numbers := make(chan int, 1)
	go func() { // awaited below
		sum, err := client.Invoke[int](ctx, c, "Sum", client.UploadChan(numbers))
		if err == nil && sum != 3 {
			err = errors.New("a part of the upload is lost")
		}
		summed <- err
	}()
	numbers <- 1
	<-d.began
	go func() { // awaited below
		_, err := client.Invoke[string](ctx, c, "Work")
		worked <- err
	}()
	<-d.began
	if err := e.DrainOver(ctx, 0); err != nil {
		t.Fatal(err)
	}
	numbers <- 2
	close(numbers)
	close(d.release)
	if err := errors.Join(<-summed, <-worked); err != nil {
		t.Error(err)
	}
	if err := e.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if err != nil && transport != transports.WebSockets { // which end by a reset
			t.Errorf("the client's end: %v", err)
		}
	case <-time.After(drainPatience):
		t.Error("the client is not sent away")
	}
}
