//go:build unix

package redis

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/carillon-go/carillon/internal/testproc"
)

// After a failover the brokers are at the new master: after the end of the old one, and while that
// goes on as a replica. The rights that docs/scale-out.md names are enough.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(master, watcher *testproc.Redis){
		"the master ends":         func(master, _ *testproc.Redis) { master.Stop() },
		"the master is a replica": func(_, watcher *testproc.Redis) { watcher.Do("SENTINEL", "FAILOVER", "main") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testFailover(t, begin)
		})
	}
}

func testFailover(t *testing.T, begin func(master, watcher *testproc.Redis)) {
	master := startServer(t)
	replica := newServer(t)
	replica.Replicate(master.Redis)
	replica.Start()
	watcher := master.StartSentinels(1)[0]
	var in inbox
	for _, r := range []*testproc.Redis{master.Redis, replica.Redis} {
		r.Do("ACL", "SETUSER", "carillon", "on", ">secret", "resetchannels", "&a", "&carillon:*", "-@all", "+publish", "+subscribe", "+unsubscribe", "+role")
	}
	watcher.Do("ACL", "SETUSER", "carillon", "on", ">secret", "-@all", "+sentinel|get-master-addr-by-name")
	url := "redis://carillon:secret@" + watcher.Addr + "?master_set=main"
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
	master.eventually("the replica is known", watcher.Replicates)
	begin(master.Redis, watcher)
	master.eventually("the loss is noticed", func() bool { return one.State().Gaps > 0 && two.State().Gaps > 0 })
	master.eventually("both are connected again", func() bool { return receives("after") })
	if n := replica.Do("PUBSUB", "NUMSUB", "a"); n != "a\n2" {
		t.Errorf("subscriptions at the new master: %q", n)
	}
}

// A broker asks one Sentinel after the other for the master, and again while it is connected.
func TestSentinels(t *testing.T) {
	t.Parallel()
	master := func(role string) *standIn {
		m := newStandIn(t, func(command []string) string {
			if command[0] != "ROLE" {
				return ""
			}
			return string(appendCommand(nil, role))
		})
		m.broken.Store(true)
		return m
	}
	first, second, replica := master("master"), master("master"), master("slave")
	var now atomic.Pointer[standIn]
	now.Store(first)
	sentinel := func(names func() *standIn) string {
		s := newStandIn(t, func(command []string) string {
			if len(command) != 3 || command[0] != "SENTINEL" || command[2] != "main" {
				return ""
			}
			m := names()
			if m == nil {
				return "*-1\r\n"
			}
			host, port, _ := net.SplitHostPort(m.addr)
			return string(appendCommand(nil, host, port))
		})
		s.broken.Store(true)
		return s.addr
	}
	right := sentinel(now.Load)
	url := fmt.Sprintf("redis://%s?master_set=main&addr=%s&addr=%s&addr=%s", testproc.FreeAddress(),
		sentinel(func() *standIn { return nil }), sentinel(func() *standIn { return replica }), right)
	var log testproc.Output
	s := &server{t: t}
	lines := logger(&log)
	b := s.broker(Options{URL: url, Logger: lines})
	s.eventually("the broker is connected", func() bool { return strings.Contains(log.String(), "Redis available") })
	if strings.Contains(log.String(), "Redis unavailable") {
		t.Errorf("log:\n%s", &log)
	}
	b.Close()
	b = s.broker(Options{URL: "redis://" + right + "?master_set=main", Logger: lines})
	s.eventually("the broker is connected", func() bool { return strings.Count(log.String(), "Redis available") == 2 })
	now.Store(replica)
	s.eventually("the broker is degraded", func() bool { return b.State().Degraded && strings.Contains(log.String(), errNotMaster.Error()) })
	now.Store(second)
	s.eventually("the broker is connected", func() bool { return strings.Count(log.String(), "Redis available") == 3 })
	if text := log.String(); !strings.Contains(text, errMoved.Error()) {
		t.Errorf("log:\n%s", text)
	}
}
