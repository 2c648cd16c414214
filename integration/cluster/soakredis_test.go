//go:build linux

package cluster_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

// TestSoakBehindRedis is TestSoak with nodes that Redis joins, and faults of Redis. They hit no
// client: each hears everything that its own node sends, once and in order. Messages of other nodes
// may be missing, but none comes twice or in the wrong order. Some clients stay all the time.
func TestSoakBehindRedis(t *testing.T) {
	t.Parallel()
	server := testproc.NewRedis(t)
	server.Start()
	s := newSoakingBehind(t, server.URL())
	random := s.random(0)
	for range *soakRounds {
		blows := s.redisBlows(server)
		victims := random.Perm(nodeCount) // a node that has just started may end before it accepts a request
		blows = append(blows, s.killed(victims[0]), s.drained(victims[1]))
		random.Shuffle(len(blows), func(i, j int) { blows[i], blows[j] = blows[j], blows[i] })
		s.sufferAll(t, blows)
	}
	s.finish(t)
	if s.heard.Load() == 0 {
		t.Error("no messages of other nodes")
	}
}

// TestSoakBehindSentinels is TestSoakBehindRedis with the end of the master: Sentinels make a replica
// the master, and the nodes find it. In the long form that goes back and forth.
func TestSoakBehindSentinels(t *testing.T) {
	t.Parallel()
	master, replica := testproc.NewRedis(t), testproc.NewRedis(t)
	master.Start()
	replica.Replicate(master)
	replica.Start()
	sentinels := master.StartSentinels(3)
	s := newSoakingBehind(t, fmt.Sprintf("%s?master_set=main&addr=%s&addr=%s", sentinels[0].URL(), sentinels[1].Addr, sentinels[2].Addr))
	failovers := 1
	if *long {
		failovers = 6
	}
	for range failovers {
		for _, sentinel := range sentinels {
			eventually(t, "the replica", sentinel.Replicates)
		}
		s.sufferAll(t, []*blow{s.outage("the master is killed", 1, master.Stop, func() {}, 0)})
		heard := s.heard.Load()
		eventually(t, "messages of other nodes", func() bool { return s.heard.Load() > heard })
		master.Replicate(replica)
		master.Start()
		master, replica = replica, master
	}
	s.finish(t)
}

// newSoakingBehind starts nodes that Redis joins, with clients that come and go, and clients that stay.
func newSoakingBehind(t *testing.T, url string) *soaking {
	t.Helper()
	s := newSoaking(t, "-redis", url)
	s.awaitBroker(t, make([]brokerState, nodeCount))
	for i := range 2 * nodeCount {
		s.clients.Go(func() { s.live(t, uint64(*soakClients+i)+1, true) })
	}
	return s
}

// redisBlows returns the faults of Redis.
func (s *soaking) redisBlows(server *testproc.Redis) []*blow {
	nothing := func() {}
	do := func(command ...string) func() { return func() { server.Do(command...) } }
	const limit = "client-output-buffer-limit"
	blows := []*blow{
		s.outage("Redis is killed", 1, server.Stop, server.Start, 0),
		s.outage("subscribing connections are cut", 1, do("CLIENT", "KILL", "TYPE", "pubsub"), nothing, time.Second),
		s.outage("publishing connections are cut", 0, do("CLIENT", "KILL", "TYPE", "normal"), nothing, time.Second),
		s.outage("Redis cuts subscribers that lag", 1, func() {
			server.Do("CONFIG", "SET", limit, "pubsub 32kb 0 0")
			server.Do("PUBLISH", "soak:all", strings.Repeat("x", 100<<10))
		}, do("CONFIG", "SET", limit, "pubsub 32mb 8mb 60"), time.Second),
	}
	frozen := []time.Duration{5 * time.Second}
	if *long {
		frozen = append(frozen, 20*time.Second, 40*time.Second)
	}
	for _, lasts := range frozen {
		freeze, thaw := func() { server.Signal(syscall.SIGSTOP) }, func() { server.Signal(syscall.SIGCONT) }
		blows = append(blows, s.outage(fmt.Sprint("Redis hangs for ", lasts), 0, freeze, thaw, lasts))
	}
	return blows
}

// outage is a fault of Redis, which each node notices gaps times at least. It is over when all nodes are connected.
func (s *soaking) outage(name string, gaps int, begin, end func(), lasts time.Duration) *blow {
	least := make([]brokerState, nodeCount)
	return &blow{name, func(*route, int) bool { return false }, func(t *testing.T) {
		for i := range least {
			least[i] = s.nodes.broker(t, i)
			least[i].Gaps += gaps
			least[i].Reported += gaps
		}
		s.outages.Add(1)
		begin()
	}, func(t *testing.T) {
		end()
		s.awaitBroker(t, least)
		time.Sleep(2 * time.Second) // a publication of before may still be unanswered
		s.awaitBroker(t, least)
		s.outages.Add(1)
	}, lasts}
}

// awaitBroker waits until all nodes are connected to Redis, after a number of losses, which their
// applications know of.
func (s *soaking) awaitBroker(t *testing.T, least []brokerState) {
	t.Helper()
	for i := range nodeCount {
		eventually(t, fmt.Sprint("the connection of node ", i, " to Redis"), func() bool {
			state := s.nodes.broker(t, i)
			return !state.Degraded && state.Subscribed > 0 && state.Gaps >= least[i].Gaps && state.Reported >= least[i].Reported
		})
	}
}

// broker returns the state of the broker of a node.
func (n *nodes) broker(t *testing.T, i int) (state brokerState) {
	t.Helper()
	_, body := send(http.MethodGet, "http://"+n.addresses[i]+statePath, nil)
	if err := json.Unmarshal(body, &state); err != nil {
		t.Fatalf("the state of node %d: %v", i, err)
	}
	return state
}
