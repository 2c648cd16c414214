package matrix_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/integration/middlebox"
	"github.com/carillon-go/carillon/internal/gateway"
	"github.com/carillon-go/carillon/internal/testproc"
)

const clockPath = "/hubs/clock"

// A learner is a gateway with its defaults, but for the clock's interval, that knows nothing of any network yet. It
// counts by query who negotiated how often. It may consist of several nodes behind a balancer that keeps no sessions.
type learner struct {
	address      string
	negotiations negotiations
}

// startLearner starts a gateway in this process. It ends with the test. balancer stands in front of several nodes.
func startLearner(t *testing.T, interval time.Duration, nodes int, balancer func(nodes []string) middlebox.Kind) *learner {
	t.Helper()
	g := &learner{negotiations: negotiations{times: map[string]int{}}}
	config := gateway.Config{
		Path:            clockPath,
		Transports:      []string{"WebSockets", "ServerSentEvents", "LongPolling"},
		Interval:        interval,
		ShutdownTimeout: 10 * time.Second,
	}
	if nodes == 1 {
		g.address = g.start(t, config)
		return g
	}
	config.ClusterSecretFile = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(config.ClusterSecretFile, []byte(gateway.NewClusterSecret()), 0o600); err != nil {
		t.Fatal(err)
	}
	for range nodes {
		config.ClusterPeers = append(config.ClusterPeers, testproc.FreeAddress())
	}
	var addresses []string
	for _, config.ClusterAddr = range config.ClusterPeers {
		addresses = append(addresses, g.start(t, config))
	}
	g.address = strings.TrimPrefix(balancer(addresses).Start(t, addresses[0]).URL, "http://")
	return g
}

// byRequest is a balancer that passes each request to the next node.
func byRequest(nodes []string) middlebox.Kind { return middlebox.Balancer("haproxy", false, nodes...) }

// byConnection is a balancer that passes each network connection to the next node.
func byConnection(nodes []string) middlebox.Kind {
	config := "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 150s\n  timeout server 150s\n" +
		"listen nodes\n  bind 127.0.0.1:$PORT\n  balance roundrobin\n"
	for i, node := range nodes {
		config += fmt.Sprintf("  server n%d %s\n", i, node)
	}
	return middlebox.Configured("haproxy", config)
}

// start starts a node, and returns its address for clients. All end at once, when the test has ended.
func (g *learner) start(t *testing.T, config gateway.Config) (address string) {
	t.Helper()
	s, err := gateway.New(config, slog.New(&g.negotiations))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(t.Context(), l) }() // awaited by the clean-up
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	return l.Addr().String()
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
