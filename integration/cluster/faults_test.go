//go:build linux

package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
)

var (
	faultConnections = flag.Int("cluster.connections", 2, "connections of each kind in TestFaults")
	faultPause       = flag.Duration("cluster.pause", 12*time.Second, "time for which TestFaults stops a process, and in the long form parts two nodes")
)

// The numbers of the nodes in TestFaults, by what they are to a connection.
const (
	home      = 0 // negotiated
	owner     = 1 // has the connection
	forwarder = 2 // gets the other requests
)

// A fault happens to one node, or between two. A connection that lives elsewhere, and whose requests
// go elsewhere, loses nothing and doubles nothing. All others connect again.
type fault struct {
	name    string
	start   func(*testing.T) *nodes
	happens happening
	// survive and reconnect hold the transports whose connections must do so. Others may do
	// either.
	survive, reconnect []client.Transport
}

var (
	everyTransport = []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling}
	onlyWebSockets = everyTransport[:1]
)

var faults = []fault{
	{"the home is killed", startHubs, killed(home), everyTransport, nil},
	{"the owner is killed", startHubs, killed(owner), nil, everyTransport},
	{"the forwarder is killed", startHubs, killed(forwarder), onlyWebSockets, nil},
	{"the home drains", startHubs, drained(home), everyTransport, nil},
	{"the owner drains", startHubs, drained(owner), nil, everyTransport},
	{"the forwarder drains", startHubs, drained(forwarder), everyTransport, nil},
	{"the home hangs", startHubs, paused(home), everyTransport, nil},
	{"the owner hangs", startHubs, paused(owner), onlyWebSockets, nil},
	{"the forwarder hangs", startHubs, paused(forwarder), onlyWebSockets, nil},
	{"another process has the address of the home", startHubs, replaced(home), everyTransport, nil},
	{"another process has the address of the owner", startHubs, replaced(owner), nil, everyTransport},
	{"the home and the owner are parted", startWiredHubs, parted(home, owner), everyTransport, nil},
	{"the home and the forwarder are parted", startWiredHubs, parted(home, forwarder), everyTransport, nil},
	{"the owner and the forwarder are parted", startWiredHubs, parted(owner, forwarder), onlyWebSockets, nil},
	{"the link is slow", startWiredHubs, slowed, everyTransport, nil},
}

// A happening carries a fault out.
type happening func(*testing.T, *nodes, *steered)

func startHubs(t *testing.T) *nodes      { t.Helper(); return startNodes(t, testHub(t)) }
func startWiredHubs(t *testing.T) *nodes { t.Helper(); return startWiredNodes(t, testHub(t)) }

func killed(victim int) happening {
	return func(_ *testing.T, n *nodes, s *steered) {
		n.kill(victim)
		s.down[victim].Store(true)
	}
}

// drained takes the node out of the balancer first, as its probe would.
func drained(victim int) happening {
	return func(t *testing.T, n *nodes, s *steered) {
		s.down[victim].Store(true)
		time.Sleep(time.Second) // the node still serves the requests that were sent there before, as within --drain
		p := n.all[victim]
		n.all[victim] = nil
		if err := p.End(); err != nil {
			t.Error(err)
		}
	}
}

func paused(victim int) happening {
	return func(t *testing.T, n *nodes, _ *steered) {
		if err := n.all[victim].Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(*faultPause) // the time of the fault
		if err := n.all[victim].Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
}

// replaced starts another process at the addresses of a node that is killed.
func replaced(victim int) happening {
	return func(t *testing.T, n *nodes, s *steered) {
		killed(victim)(t, n, s)
		if err := n.start(victim); err != nil {
			t.Fatal(err)
		}
		s.down[victim].Store(false)
	}
}

// parted lets no byte pass between two nodes for a time.
func parted(a, b int) happening {
	return func(_ *testing.T, n *nodes, _ *steered) {
		length := *faultPause
		if !*long {
			length /= 4
		}
		defer n.wires.part(a, b)()
		time.Sleep(length) // the time of the fault
	}
}

// slowed makes the network between all nodes slow, until the end of the test.
func slowed(_ *testing.T, n *nodes, _ *steered) { n.wires.slow(50 * time.Millisecond) }

func TestFaults(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			n := f.start(t)
			n.awaitMembers(t)
			s := newSteered(t, n)
			var lives []*life
			for _, transport := range everyTransport {
				for i := range 2 * *faultConnections {
					lives = append(lives, newLife(t, s.URL, transport, i%2 == 1))
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var sending sync.WaitGroup
			for _, l := range lives {
				sending.Go(func() { l.send(ctx) })
			}
			eventually(t, "traffic", func() bool { return all(lives, func(l *life) bool { return l.heard.Load() > 10 }) })
			s.late.Store(true)
			f.happens(t, n, s)
			for _, l := range lives {
				if slices.Contains(f.reconnect, l.transport) {
					eventually(t, fmt.Sprint(l.transport, " to connect again"), func() bool { return l.reconnected.Load() > 0 })
				}
			}
			before := make([]int64, len(lives))
			for i, l := range lives {
				before[i] = l.heard.Load()
			}
			for i, l := range lives {
				eventually(t, fmt.Sprint("traffic of ", l, " afterwards"), func() bool { return l.heard.Load() > before[i]+10 })
			}
			stop()
			sending.Wait()
			for _, l := range lives {
				l.finish(t, slices.Contains(f.survive, l.transport))
			}
		})
	}
}

func all(lives []*life, ok func(*life) bool) bool {
	for _, l := range lives {
		if !ok(l) {
			return false
		}
	}
	return true
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // waits for other processes
		if time.Now().After(deadline) {
			t.Fatal("waited in vain for ", what)
		}
	}
}

// steered is a balancer that makes each node what TestFaults needs it to be. When a node is
// down, it takes another one.
type steered struct {
	*httptest.Server
	proxies []*httputil.ReverseProxy
	down    [nodeCount]atomic.Bool
	late    atomic.Bool // the POSTs of late connections go to the forwarder now

	mu     sync.Mutex
	opened map[string]bool // by token
}

func newSteered(t *testing.T, n *nodes) *steered {
	s := &steered{opened: map[string]bool{}}
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	for _, address := range n.addresses {
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
		proxy.Transport, proxy.FlushInterval = transport, -1
		proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		s.proxies = append(s.proxies, proxy)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := s.choose(r)
		for s.down[to].Load() {
			to = (to + 1) % nodeCount
		}
		s.proxies[to].ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
		transport.CloseIdleConnections()
	})
	return s
}

func (s *steered) choose(r *http.Request) int {
	query := r.URL.Query()
	switch {
	case strings.HasSuffix(r.URL.Path, "/negotiate"):
		return home
	case r.Method != http.MethodGet && query.Has("late") && !s.late.Load():
		return owner
	case r.Method != http.MethodGet:
		return forwarder
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if token := query.Get("id"); !s.opened[token] {
		s.opened[token] = true
		return owner
	}
	return forwarder // a later poll
}

// life is a connection that sends itself numbers by the hub.
type life struct {
	*client.HubConnection
	transport   client.Transport
	late        bool         // the forwarder hears of it after the fault only
	sent        atomic.Int64 // the last number
	heard       atomic.Int64
	reconnected atomic.Int64

	mu      sync.Mutex
	last    int
	gaps    int
	doubled []int
	lost    error // the reason of the first loss
}

func newLife(t *testing.T, url string, transport client.Transport, late bool) *life {
	t.Helper()
	l := &life{transport: transport, late: late}
	url += "/testhub"
	if late {
		url += "?late"
	}
	l.HubConnection = client.New(url, client.Options{
		Transports: []client.Transport{transport}, Memory: client.NewMemory(), Logger: slog.New(slog.DiscardHandler),
		Reconnect: client.ReconnectForever(50*time.Millisecond, 500*time.Millisecond),
	})
	l.On("Message", client.Action1(func(_ context.Context, text string) error {
		n, err := strconv.Atoi(text)
		l.hear(n)
		return err
	}))
	l.OnStateChange(func(_ context.Context, c client.StateChange) {
		switch {
		case c.To == client.Reconnecting:
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.lost == nil {
				l.lost = c.Err
			}
		case c.From == client.Reconnecting && c.To == client.Connected:
			l.reconnected.Add(1)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := l.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = l.Stop(ctx) // its node may be gone
	})
	return l
}

func (l *life) String() string { return fmt.Sprintf("%s (late: %v)", l.transport, l.late) }

func (l *life) hear(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n <= l.last:
		l.doubled = append(l.doubled, n)
		return
	case n > l.last+1:
		l.gaps++
	}
	l.last = n
	l.heard.Add(1)
}

// send sends numbers until ctx ends. While the connection is lost, nothing is sent.
func (l *life) send(ctx context.Context) {
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		_ = l.Send(context.WithoutCancel(ctx), "InvokeWithString", strconv.FormatInt(l.sent.Add(1), 10))
	}
}

// finish checks what was heard. Only a connection that was lost may miss something.
func (l *life) finish(t *testing.T, survives bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := client.Invoke[string](ctx, l.HubConnection, "Echo", "the end"); err != nil {
		t.Errorf("%s: %v", l, err)
	}
	last := int(l.sent.Load())
	eventually(t, fmt.Sprint(l, " to hear the last number"), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.last == last
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	again := int(l.reconnected.Load())
	t.Logf("%s: %d sent, %d heard, connected again %d times, %v", l, l.sent.Load(), l.heard.Load(), again, l.lost)
	if len(l.doubled) > 0 {
		t.Errorf("%s: doubled or out of order: %v", l, l.doubled)
	}
	if l.gaps > again {
		t.Errorf("%s: %d gaps, but connected again %d times", l, l.gaps, again)
	}
	if survives && (again > 0 || l.lost != nil) {
		t.Errorf("%s: the connection was lost: %v", l, l.lost)
	}
}
