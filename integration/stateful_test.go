package integration_test

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

var (
	statefulConnections = flag.Int("stateful.connections", 20, "connections under the proxy that cuts")
	statefulMessages    = flag.Int("stateful.messages", 300, "messages each way of each connection")
)

const (
	// statefulBuffer is small, so that full buffers are part of the test and what is sent again after a cut usually fits
	// before the next one.
	statefulBuffer = 8 << 10
	// statefulCut is how many bytes pass at most before a cut: some sockets do not survive their own handshake.
	statefulCut = 40 << 10
	// officialCut is how many pass at least with the official client, which tries only once to reconnect.
	officialCut = 2 << 10
)

// statefulHub counts what each connection sends, and answers each message with one of the same number.
type statefulHub struct {
	*hub.Hub
	mu     sync.Mutex
	next   map[string]int
	errors []string
}

func newStatefulHub() *statefulHub {
	h := &statefulHub{Hub: hub.New(hub.Options{StatefulBufferSize: statefulBuffer, DetailedErrors: true, MaxInvocationsPerSecond: -1}), next: map[string]int{}}
	h.Handle("Up", hub.Action2(h.up))
	h.Handle("Last", hub.Func0(func(ctx context.Context) (int, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.next[hub.CallerFrom(ctx).ConnectionID()], nil
	}))
	return h
}

func (h *statefulHub) up(ctx context.Context, n int, padding string) error {
	id := hub.CallerFrom(ctx).ConnectionID()
	h.mu.Lock()
	if want := h.next[id]; n != want {
		h.errors = append(h.errors, fmt.Sprintf("%s: the server got %d, not %d", id, n, want))
	}
	h.next[id] = n + 1
	h.mu.Unlock()
	return h.Clients().Caller(ctx).Send(ctx, "Down", n, padding)
}

// startStateful serves the hub behind a proxy that cuts.
func startStateful(t *testing.T, leastCut int64) *cutProxy {
	t.Helper()
	h := newStatefulHub()
	e := endpoint.New(h.Hub, endpoint.Options{Options: transports.Options{AllowStatefulReconnect: true}})
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		// Where the last words of a client are cut, too, the server waits for it for 15 s.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
		for _, text := range h.errors {
			t.Error(text)
		}
	})
	return newCutProxy(t, strings.TrimPrefix(server.URL, "http://"), leastCut, statefulCut)
}

// TestStatefulReconnect sends numbered messages both ways over connections that are cut at any byte: none is lost, none
// comes twice, none out of order.
func TestStatefulReconnect(t *testing.T) {
	for _, transport := range signalr.Transports() {
		t.Run(string(transport), func(t *testing.T) {
			t.Parallel()
			proxy := startStateful(t, 0)
			var all, connected sync.WaitGroup
			connected.Add(*statefulConnections)
			for range *statefulConnections {
				all.Go(func() { exchange(t, proxy.url(), transport, &connected) })
			}
			connected.Wait()
			proxy.arm()
			all.Wait()
			t.Logf("%d connections, %d messages each way of each, %d cuts", *statefulConnections, *statefulMessages, proxy.cuts.Load())
			if proxy.cuts.Load() == 0 {
				t.Error("nothing was cut")
			}
		})
	}
}

// TestStatefulReconnectOfficial does the same with the official JavaScript client, which knows WebSockets only.
func TestStatefulReconnectOfficial(t *testing.T) {
	for _, protocol := range []string{"json", "messagepack"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			proxy := startStateful(t, officialCut)
			proxy.arm()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := clients.Node(ctx, t, "stateful.js", "URL="+proxy.url(), "PROTOCOL="+protocol,
				"CONNECTIONS="+strconv.Itoa(*statefulConnections), "MESSAGES="+strconv.Itoa(*statefulMessages))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%d cuts", proxy.cuts.Load())
		})
	}
}

// exchange sends the messages and waits for their echoes.
func exchange(t *testing.T, url string, transport client.Transport, connected *sync.WaitGroup) {
	c := client.New(url, client.Options{
		Transports: []client.Transport{transport}, Memory: client.NewMemory(),
		StatefulReconnect: true, StatefulBufferSize: statefulBuffer,
	})
	over := make(chan struct{})
	want := 0
	c.On("Down", client.Action2(func(_ context.Context, n int, _ string) error {
		if n != want {
			t.Errorf("the client got %d, not %d", n, want)
		}
		if want = n + 1; want == *statefulMessages {
			close(over)
		}
		return nil
	}))
	c.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.Err != nil {
			t.Errorf("%v: %v", change.To, change.Err)
		}
	})
	err := c.Start(t.Context())
	connected.Done()
	if err != nil {
		t.Error(err)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for n := range *statefulMessages {
		if err := c.Send(ctx, "Up", n, strings.Repeat("x", n*7919%300)); err != nil {
			t.Error(err)
			return
		}
	}
	if last, err := client.Invoke[int](ctx, c, "Last"); err != nil || last != *statefulMessages {
		t.Errorf("the server got %d: %v", last, err)
	}
	select {
	case <-over:
	case <-ctx.Done():
		t.Error("an echo is missing")
	}
	if err := c.Stop(ctx); err != nil {
		t.Error(err)
	}
}
