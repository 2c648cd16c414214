//go:build linux

package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/integration/soak"
)

var (
	soakClients = flag.Int("cluster.clients", 6, "clients at a time in TestSoak")
	soakRounds  = flag.Int("cluster.rounds", 1, "rounds of TestSoak, each with every fault once")
	soakPause   = flag.Duration("cluster.soak-pause", 2*time.Second, "time for which TestSoak stops a process, or parts two nodes")
	soakSeed    = flag.Uint64("cluster.seed", 0, "what happens in TestSoak; 0: something else each time")
)

// TestSoak has clients that come, act and go behind a balancer that keeps no sessions, while one
// fault after the other happens. A client that a fault has not hit loses nothing, and none hears
// anything twice or in the wrong order.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := newSoaking(t)
	random := s.random(0)
	for range *soakRounds {
		blows := s.blows(random.Perm(nodeCount))
		random.Shuffle(len(blows), func(i, j int) { blows[i], blows[j] = blows[j], blows[i] })
		s.sufferAll(t, blows)
	}
	s.finish(t)
}

// soaking is a run of TestSoak.
type soaking struct {
	seed       uint64
	nodes      *nodes
	balancer   *turns
	clients    sync.WaitGroup
	over       chan struct{} // closed when no more clients come
	lived, hit atomic.Int64  // clients that have gone, and how many of them a fault has hit
	// outages counts the beginnings and the ends of the times in which the backplane may lose
	// messages between nodes.
	outages atomic.Int64
	missed  atomic.Int64 // clients that have missed messages of other nodes then
	heard   atomic.Int64 // messages of other nodes
}

// newSoaking starts nodes and clients. options are further ones of the nodes.
func newSoaking(t *testing.T, options ...string) *soaking {
	s := &soaking{seed: *soakSeed, over: make(chan struct{})}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	t.Logf("-cluster.seed=%d", s.seed)
	s.nodes = startWiredNodes(t, append([]string{os.Args[0], soakCommand}, options...)...)
	s.nodes.awaitMembers(t)
	s.balancer = newTurns(t, s.nodes)
	t.Cleanup(s.end)
	for i := range *soakClients {
		s.clients.Go(func() { s.live(t, uint64(i)+1, false) })
	}
	return s
}

// end waits for the clients.
func (s *soaking) end() {
	select {
	case <-s.over:
	default:
		close(s.over)
	}
	s.clients.Wait()
}

func (s *soaking) sufferAll(t *testing.T, blows []*blow) {
	t.Helper()
	for _, f := range blows {
		s.await(t, "clients before "+f.name)
		t.Log(time.Now().Format(time.StampMilli), f.name)
		s.suffer(t, f)
	}
}

// finish waits for more clients, and reports.
func (s *soaking) finish(t *testing.T) {
	t.Helper()
	s.await(t, "clients at the end")
	s.end()
	if t.Failed() {
		for i, p := range s.nodes.all {
			t.Logf("node %d (%s):\n%s", i, s.nodes.wires.addresses[i], &p.Output)
		}
	}
	t.Logf("%d clients, %d of them hit; %d have missed some messages of other nodes, and all have heard %d",
		s.lived.Load(), s.hit.Load(), s.missed.Load(), s.heard.Load())
}

func (s *soaking) random(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, stream)) //nolint:gosec // it has to come the same again
}

// live lets one client after the other come, which stay or go soon.
func (s *soaking) live(t *testing.T, stream uint64, stay bool) {
	random := s.random(stream)
	for turn := 1; ; turn++ {
		select {
		case <-s.over:
			return
		default:
		}
		who := fmt.Sprintf("client %d.%d", stream, turn)
		before := s.outages.Load()
		life := soak.NewLife(s.balancer.URL, who, random)
		live := life.Live
		if stay {
			live = func(ctx context.Context) (wrong, lost, missed []string) { return life.Stay(ctx, s.over) }
		}
		wrong, lost, missed := live(context.Background())
		s.heard.Add(int64(life.Heard()))
		if before%2 == 0 && s.outages.Load() == before {
			wrong = append(wrong, missed...)
		} else if len(missed) > 0 {
			s.missed.Add(1)
		}
		for _, complaint := range wrong {
			t.Error(complaint)
		}
		s.lived.Add(1)
		l := s.balancer.forget(who)
		if l.hit {
			s.hit.Add(1)
			continue
		}
		for _, complaint := range lost {
			t.Errorf("%s home %d, owner %d: %s", time.Now().Format(time.StampMilli), l.home, l.owner, complaint)
		}
	}
}

// await waits until some more clients have gone.
func (s *soaking) await(t *testing.T, what string) {
	t.Helper()
	enough := s.lived.Load() + int64(*soakClients)
	eventually(t, what, func() bool { return s.lived.Load() >= enough })
}

// A blow is a fault of TestSoak.
type blow struct {
	name string
	// hits reports whether the fault hits a client, or if at is not -1 a request of it at a node.
	hits       func(l *route, at int) bool
	begin, end func(*testing.T)
	lasts      time.Duration // 0: until some clients have come and gone
}

func (s *soaking) suffer(t *testing.T, f *blow) {
	t.Helper()
	s.balancer.strike(f)
	f.begin(t)
	if f.lasts > 0 {
		time.Sleep(f.lasts) // the time of the fault
	} else {
		s.await(t, "clients while "+f.name)
	}
	f.end(t)
	s.balancer.strike(nil)
}

// blows returns all faults.
func (s *soaking) blows(at []int) []*blow {
	parted := func(l *route, node int) bool {
		return node == at[0] && l.needs(at[1]) || node == at[1] && l.needs(at[0])
	}
	var join func()
	return []*blow{
		s.killed(at[0]), s.drained(at[1]), s.paused(at[2]),
		{
			fmt.Sprintf("the nodes %d and %d are parted", at[0], at[1]), parted,
			func(*testing.T) { join = s.nodes.wires.part(at[0], at[1]) }, func(*testing.T) { join() }, *soakPause,
		},
		{
			"the link is slow", func(*route, int) bool { return false },
			func(*testing.T) { s.nodes.wires.slow(50 * time.Millisecond) }, func(*testing.T) { s.nodes.wires.slow(0) }, 0,
		},
	}
}

func (s *soaking) killed(victim int) *blow {
	return &blow{fmt.Sprintf("node %d is killed", victim), hitsNode(victim), func(*testing.T) {
		s.balancer.setDown(victim, true)
		s.nodes.kill(victim)
	}, s.restart(victim), 0}
}

// drained passes on requests until all have ended.
func (s *soaking) drained(victim int) *blow {
	hits := func(l *route, _ int) bool { return l.needs(victim) }
	return &blow{fmt.Sprintf("node %d drains", victim), hits, func(t *testing.T) {
		s.balancer.setDown(victim, true)
		if err := s.nodes.all[victim].End(); err != nil {
			t.Error(err)
		}
	}, s.restart(victim), 0}
}

func (s *soaking) paused(victim int) *blow {
	signal := func(t *testing.T, number syscall.Signal) {
		if err := s.nodes.all[victim].Signal(number); err != nil {
			t.Error(err)
		}
	}
	return &blow{fmt.Sprintf("node %d hangs", victim), hitsNode(victim), func(t *testing.T) {
		s.balancer.setDown(victim, true)
		signal(t, syscall.SIGSTOP)
	}, func(t *testing.T) {
		signal(t, syscall.SIGCONT)
		s.balancer.setDown(victim, false)
	}, *soakPause}
}

func hitsNode(victim int) func(*route, int) bool {
	return func(l *route, at int) bool { return at == victim || l.needs(victim) }
}

// restart starts another process at the addresses of a node.
func (s *soaking) restart(node int) func(*testing.T) {
	return func(t *testing.T) {
		if err := s.nodes.start(node); err != nil {
			t.Fatal(err)
		}
		s.nodes.wires.replaced(node, s.nodes.all[node])
		s.balancer.setDown(node, false)
	}
}
