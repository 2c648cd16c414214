//go:build unix

package redis

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sentinel starts a Sentinel that watches a server.
func (s *server) sentinel() *server {
	s.t.Helper()
	watcher := newServer(s.t)
	host, port, _ := net.SplitHostPort(s.Addr)
	_, own, _ := net.SplitHostPort(watcher.Addr)
	file := filepath.Join(s.t.TempDir(), "sentinel.conf")
	settings := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor main %s %s 1\n"+
		"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n", own, host, port)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.run("redis-server", file, "--sentinel")
	return watcher
}

// After a failover the brokers are at the new master.
func TestFailover(t *testing.T) {
	t.Parallel()
	master := startServer(t)
	replica := newServer(t)
	host, port, _ := net.SplitHostPort(master.Addr)
	replica.Args = []string{"--replicaof", host, port}
	replica.Start()
	watcher := master.sentinel()
	var in inbox
	url := watcher.URL() + "?master_set=main"
	one, two := master.broker(Options{URL: url}), master.broker(Options{URL: url})
	for _, b := range []*Broker{one, two} {
		if err := b.Subscribe(t.Context(), &in, "a"); err != nil {
			t.Fatal(err)
		}
	}
	receives := func(text string) bool {
		n, err := one.Publish(t.Context(), []byte(text), "a")
		return err == nil && n == 2
	}
	master.eventually("both are connected", func() bool { return receives("before") })
	watcher.eventually("the replica is known", func() bool {
		return strings.Contains(watcher.Do("SENTINEL", "REPLICAS", "main"), "master-link-status\nok")
	})
	master.Stop()
	master.eventually("both are connected again", func() bool { return receives("after") })
	if one.State().Gaps == 0 || two.State().Gaps == 0 {
		t.Errorf("%+v, %+v", one.State(), two.State())
	}
	if n := replica.Do("PUBSUB", "NUMSUB", "a"); n != "a\n2" {
		t.Errorf("subscriptions at the new master: %q", n)
	}
}
