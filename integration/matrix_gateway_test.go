package integration_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/gateway"
)

const clockPath = "/hubs/clock"

// A learner is a gateway with its defaults, but for the clock's interval, that knows nothing of any network yet. It
// counts by query who negotiated how often.
type learner struct {
	address      string
	negotiations negotiations
}

// startLearner starts a gateway in this process. It ends with the test.
func startLearner(t *testing.T, interval time.Duration) *learner {
	t.Helper()
	g := &learner{negotiations: negotiations{times: map[string]int{}}}
	s, err := gateway.New(gateway.Config{
		Path:            clockPath,
		Transports:      []string{"WebSockets", "ServerSentEvents", "LongPolling"},
		Interval:        interval,
		ShutdownTimeout: 10 * time.Second,
	}, slog.New(&g.negotiations))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }() // awaited by the clean-up
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	return g
}

// negotiations reads the gateway's log.
type negotiations struct {
	mu    sync.Mutex
	times map[string]int
}

func (n *negotiations) of(query string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.times[strings.TrimPrefix(query, "?")]
}

// Enabled implements slog.Handler.
func (n *negotiations) Enabled(context.Context, slog.Level) bool { return true }

// WithAttrs implements slog.Handler.
func (n *negotiations) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup implements slog.Handler.
func (n *negotiations) WithGroup(string) slog.Handler { return n }

// Handle implements slog.Handler.
func (n *negotiations) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		path, query, _ := strings.Cut(a.Value.String(), "?")
		if a.Key != "uri" || path != clockPath+"/negotiate" {
			return true
		}
		first, _, _ := strings.Cut(query, "&")
		n.mu.Lock()
		defer n.mu.Unlock()
		n.times[first]++
		return false
	})
	return nil
}
