package cluster

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/internal/httpstop"
	"github.com/carillon-go/carillon/internal/limit"
)

// Options configure a Node.
type Options struct {
	// Secrets are the secret of the cluster, and the previous one while all nodes are given a
	// new one. Each has at least 32 random bytes. ParseSecrets reads them from text. Required.
	Secrets [][]byte
	// Advertise is the host:port at which other nodes reach the listener of this one. It is
	// part of every token, so an IP address is better than a name, of which there is room for
	// 44 bytes. Required.
	Advertise string
	// Peers are the addresses of all nodes, as host:port. The own one may be among them.
	// Default: none.
	Peers []string
	// DNS is a host:port that resolves to the addresses of all nodes, such as that of a headless
	// service of Kubernetes. It is resolved again every five seconds. Default: none.
	DNS string
	// Logger receives the events of the cluster. Default slog.Default().
	Logger *slog.Logger

	// For tests. Zero: the constants with these names.
	dialTimeout, askTimeout, tellLimit time.Duration
}

// Node is this process as a part of a cluster. It is safe for concurrent use.
type Node struct {
	self    process
	sealer  *sealer
	peers   *peers
	members *members
	server  *http.Server
	log     *slog.Logger
	begun   time.Time

	closing     context.Context // ends when Shutdown cuts the last requests
	close       context.CancelFunc
	serving     context.Context // ends when Shutdown begins
	stopServing context.CancelFunc
	running     sync.WaitGroup // dials, streams, and requests in both directions
	counts      counts
	ends        ends
	tell        chan chan struct{} // each is closed when the others have the news
	later       chan struct{}      // holds a value for each answer that follows later

	askTimeout, tellLimit time.Duration

	unknown *Hub // answers questions about hubs that are not in hubs

	mu     sync.Mutex
	hubs   map[string]*Hub
	asking limit.Budget // of questions to all nodes
	closed bool
}

// counts are the numbers of Stats.
type counts struct{ claimed, handedOver, forwarded, served, asked, unasked, unreachable, unended atomic.Int64 }

// Stats are numbers of events since the start of the process.
type Stats struct {
	Claimed     int // negotiations that this node took over
	HandedOver  int // negotiations that other nodes took over
	Forwarded   int // requests that other nodes served for this one
	Served      int // requests that this node served for other ones
	Asked       int // questions to all nodes, because the home of a connection was lost
	Unasked     int // such questions that were over the limit
	Unreachable int // requests that could not be forwarded, because the owner did not answer
	Unended     int // connections that lost a POST and could not be ended, because the owner did not answer
}

// Stats returns numbers of events.
func (n *Node) Stats() Stats {
	c := &n.counts
	return Stats{
		Claimed: int(c.claimed.Load()), HandedOver: int(c.handedOver.Load()), Forwarded: int(c.forwarded.Load()), Served: int(c.served.Load()),
		Asked: int(c.asked.Load()), Unasked: int(c.unasked.Load()), Unreachable: int(c.unreachable.Load()),
		Unended: int(c.unended.Load()),
	}
}

// New returns a node. Serve has to follow.
func New(o Options) (*Node, error) {
	if err := checkSecrets(o.Secrets); err != nil {
		return nil, err
	}
	var secrets []keys
	for _, secret := range o.Secrets {
		k, err := newKeys(secret)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, k)
	}
	credentials, err := newCredentials(secrets)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	n := &Node{self: process{newPID(), o.Advertise}, log: o.Logger, begun: time.Now(), hubs: map[string]*Hub{}, tell: make(chan chan struct{}), later: make(chan struct{}, maxLater)}
	n.ends.waiting = map[process]map[ending]time.Time{}
	if n.sealer, err = newSealer(secrets, n.self); err != nil {
		return nil, err
	}
	if n.members, err = newMembers(n, o); err != nil {
		return nil, err
	}
	n.closing, n.close = context.WithCancel(context.Background())
	n.serving, n.stopServing = context.WithCancel(n.closing)
	n.unknown = newHub(n, "")
	n.askTimeout, n.tellLimit = cmp.Or(o.askTimeout, askTimeout), cmp.Or(o.tellLimit, tellLimit)
	dialer, err := newDialer(n, credentials, cmp.Or(o.dialTimeout, dialTimeout))
	if err != nil {
		return nil, err
	}
	n.peers = &peers{dialer: dialer, all: map[string]*peer{}}
	n.server = newServer(n, credentials)
	return n, nil
}

// Hub returns the part of the cluster that concerns one hub, which has the same name on all
// nodes, such as its path. Each call with a name returns the same Hub.
func (n *Node) Hub(name string) *Hub {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hubs[name]
	if h == nil {
		h = newHub(n, name)
		n.hubs[name] = h
	}
	return h
}

// known returns the hub with a name that another process has sent. One that is not in this
// process has no connections.
func (n *Node) known(name string) *Hub {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hubs[name]; h != nil {
		return h
	}
	return n.unknown
}

// enter counts a request. It reports false after Shutdown.
func (n *Node) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return false
	}
	n.running.Add(1)
	return true
}

// Serve serves other nodes on l, and finds them, until Shutdown. It then returns nil, also if
// Shutdown was called before. It closes l.
func (n *Node) Serve(l net.Listener) error {
	if !n.enter() {
		return l.Close()
	}
	defer n.running.Done()
	var others sync.WaitGroup
	others.Go(func() { n.members.watch(n.closing) })
	others.Go(func() { n.gossip(n.closing) })
	others.Go(func() { n.sweepTables(n.closing) })
	defer others.Wait()
	err := n.server.ServeTLS(handshakes{l}, "", "")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	n.close()
	return err
}

// Shutdown ends the node. Endpoints must have been shut down before. Requests that are
// forwarded may end until ctx does, and are then cut.
func (n *Node) Shutdown(ctx context.Context) error {
	for _, h := range n.allHubs() {
		h.Drain()
	}
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.stopServing()
	err := httpstop.Shutdown(ctx, n.server)
	n.close()
	n.peers.close()
	_ = n.server.Close()
	n.running.Wait()
	return err
}

// mayAskAll reports whether all nodes may be asked now, and counts the question.
func (n *Node) mayAskAll() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Since(n.begun)
	if n.asking.Wait(now, (askBurst-1)*askInterval) > 0 {
		n.counts.unasked.Add(1)
		return false
	}
	n.asking.Spend(now, askInterval)
	n.counts.asked.Add(1)
	return true
}

// Of the questions to all nodes askBurst may follow each other, and another one is allowed per
// askInterval.
const (
	askInterval = time.Millisecond
	askBurst    = 5000
)
