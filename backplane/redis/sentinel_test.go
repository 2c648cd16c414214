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

// newMaster returns a stand-in for a server that says that it has a role.
func newMaster(t *testing.T, role string) *standIn {
	t.Helper()
	m := newStandIn(t, func(command []string) string {
		if command[0] != "ROLE" {
			return ""
		}
		return string(appendCommand(nil, role))
	})
	m.broken.Store(true)
	return m
}

// newSentinel returns the address of a stand-in for a Sentinel that names a master, or none. It answers
// AUTH with a text.
func newSentinel(t *testing.T, names func() *standIn, auth string) string {
	t.Helper()
	s := newStandIn(t, func(command []string) string {
		switch {
		case command[0] == "AUTH":
			return auth
		case len(command) != 3 || command[0] != "SENTINEL" || command[2] != "main":
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

// A broker asks one Sentinel after the other for the master, and again while it is connected.
func TestSentinels(t *testing.T) {
	t.Parallel()
	first, second, replica := newMaster(t, "master"), newMaster(t, "master"), newMaster(t, "slave")
	var now atomic.Pointer[standIn]
	now.Store(first)
	right := newSentinel(t, now.Load, "")
	url := fmt.Sprintf("redis://%s?master_set=main&addr=%s&addr=%s&addr=%s", testproc.FreeAddress(),
		newSentinel(t, func() *standIn { return nil }, ""), newSentinel(t, func() *standIn { return replica }, ""), right)
	var log testproc.Output
	s := &server{t: t}
	lines := logger(&log)
	b := s.broker(Options{URL: url, Logger: lines})
	s.eventually("the broker is connected", func() bool { return strings.Contains(log.String(), "Redis available") })
	if strings.Contains(log.String(), "Redis unavailable") {
		t.Errorf("log:\n%s", &log)
	}
	b.Close()
	s.broker(Options{URL: "redis://" + right + "?master_set=main", Logger: lines})
	s.eventually("the broker is connected", func() bool { return strings.Count(log.String(), "Redis available") == 2 })
	now.Store(second)
	s.eventually("the broker is connected", func() bool { return strings.Count(log.String(), "Redis available") == 3 })
	if text := log.String(); !strings.Contains(text, errMoved.Error()) {
		t.Errorf("log:\n%s", text)
	}
}

// A Sentinel that was away, and names an old master that is a replica now, moves no broker.
func TestSentinelWithOldNews(t *testing.T) {
	t.Parallel()
	master, replica := newMaster(t, "master"), newMaster(t, "slave")
	var asked atomic.Int32
	old := newSentinel(t, func() *standIn { asked.Add(1); return replica }, "")
	var log testproc.Output
	s := &server{t: t}
	url := fmt.Sprintf("redis://%s?master_set=main&addr=%s", old, newSentinel(t, func() *standIn { return master }, ""))
	s.broker(Options{URL: url, Logger: logger(&log)})
	s.eventually("the broker is connected", func() bool { return strings.Contains(log.String(), "Redis available") })
	before := asked.Load()
	s.eventually("the Sentinel is asked again and again", func() bool { return asked.Load() >= before+4 })
	if text := log.String(); strings.Contains(text, errMoved.Error()) {
		t.Errorf("log:\n%s", text)
	}
}

// A Sentinel that hangs, and one that names a server that hangs, keep no broker from the others.
func TestSentinelsThatHang(t *testing.T) {
	t.Parallel()
	master, release := newMaster(t, "master"), make(chan struct{})
	hang := func([]string) string { <-release; return "" }
	sentinel, hanging := newStandIn(t, hang), newStandIn(t, hang)
	t.Cleanup(func() { close(release) })
	sentinel.broken.Store(true)
	hanging.broken.Store(true)
	s := &server{t: t}
	var log testproc.Output
	s.broker(Options{Logger: logger(&log), URL: fmt.Sprintf("redis://%s?master_set=main&addr=%s&addr=%s", sentinel.addr,
		newSentinel(t, func() *standIn { return hanging }, ""), newSentinel(t, func() *standIn { return master }, ""))})
	s.eventually("the broker is connected", func() bool { return strings.Contains(log.String(), "Redis available") })
}

// A Sentinel without a password refuses that of the servers, and is asked all the same.
func TestSentinelWithoutPassword(t *testing.T) {
	t.Parallel()
	master := startServer(t)
	master.Do("ACL", "SETUSER", "carillon", "on", ">secret", "allchannels", "allcommands")
	s := newSentinel(t, func() *standIn { return &standIn{addr: master.Addr} }, "-ERR AUTH <password> called without any password configured\r\n")
	var log testproc.Output
	master.broker(Options{URL: "redis://carillon:secret@" + s + "?master_set=main", Logger: logger(&log)})
	master.eventually("the broker is connected", func() bool { return strings.Contains(log.String(), "Redis available") })
	strict := newStandIn(t, func(command []string) string {
		if command[0] == "AUTH" {
			return "-WRONGPASS invalid username-password pair\r\n"
		}
		return "-NOAUTH Authentication required.\r\n"
	})
	strict.broken.Store(true)
	master.broker(Options{URL: "redis://carillon:wrong@" + strict.addr + "?master_set=main", Logger: logger(&log)})
	master.eventually("both refusals are logged", func() bool {
		return strings.Contains(log.String(), "WRONGPASS") && strings.Contains(log.String(), "NOAUTH")
	})
}
