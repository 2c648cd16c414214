package connection

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/poller"
	"github.com/carillon-go/carillon/transports"
)

// Registry holds the connections of one endpoint and finds them by their tokens.
// It is safe for concurrent use.
type Registry struct {
	options    transports.Options
	refreshing Refreshing
	app        transports.Application
	begun      time.Time
	// running counts connections, requests, and goroutines that outlive the call that started
	// them. Each is started by a counted one, or under mu before finished is set.
	running sync.WaitGroup
	poller  *poller.Poller

	// cutting is cancelled when Shutdown's time is over, and ends everything that is left.
	cutting context.Context
	cut     context.CancelFunc

	queued     atomic.Int64 // bytes queued in all connections
	kept       atomic.Int64 // bytes of request heads that all connections keep
	refused    refusals
	gate       *floodgate.Gate // of lines that clients can provoke
	complaints complaints

	mu          sync.Mutex
	negotiated  negotiations // not opened yet
	connections map[string]*Connection
	census      census
	// loose are the connections that may have no request now, and all long-polling ones. The
	// sweep checks only these, and ends those without a request for too long.
	loose    []*Connection // each at its place
	sweeper  *time.Timer   // nil while there is nothing to sweep
	stopped  bool
	drained  int           // opened connections that have ended in order since Stop
	cutOff   int           // connections that Shutdown has cut
	finished bool          // Shutdown only waits for running goroutines
	outside  []Outside     // connections that Shutdown ends as well
	empty    chan struct{} // closed when stopped and the last connection is gone
}

// sweepInterval is the interval at which time-outs are checked, as in ASP.NET Core.
const sweepInterval = time.Second

// NewRegistry returns a registry that passes its connections to app.
func NewRegistry(app transports.Application, options transports.Options) *Registry {
	cutting, cut := context.WithCancel(context.Background())
	r := &Registry{
		cutting:     cutting,
		cut:         cut,
		options:     options.WithDefaults(),
		gate:        floodgate.New(options.WithDefaults().Logger),
		app:         app,
		begun:       time.Now(),
		negotiated:  negotiations{byToken: map[[idLength]byte]*Negotiation{}},
		connections: map[string]*Connection{},
		census:      newCensus(),
	}
	r.poller = poller.New(&r.running)
	return r
}

// random is the source of ids. It reads the system's random bytes for many ids at a time.
var random = struct {
	sync.Mutex
	*bufio.Reader
}{Reader: bufio.NewReaderSize(rand.Reader, 1024)}

// idLength is the length of 128 bits in base64url.
const idLength = 22

// newIDs returns an id followed by a token, each of 128 random bits.
func newIDs() (b [2 * idLength]byte) {
	random.Lock()
	bits, _ := random.Peek(32) // never fails
	base64.RawURLEncoding.Encode(b[:idLength], bits[:16])
	base64.RawURLEncoding.Encode(b[idLength:], bits[16:])
	_, _ = random.Discard(32)
	random.Unlock()
	return b
}

// ErrStopped is the error of Negotiate and Create after Stop or Shutdown.
var ErrStopped = errors.New("transports: the server shuts down")

// Create creates a connection for a request that opens it at once. It is otherwise like
// Negotiate.
func (r *Registry) Create(request *http.Request, hasToken bool, stateful ...transports.Type) (*Connection, error) {
	n := r.newNegotiation(request, hasToken, stateful)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admit(n); err != nil {
		return nil, err
	}
	return r.establish(n), nil
}

// establish turns a negotiation into a connection. The lock is held.
func (r *Registry) establish(n *Negotiation) *Connection {
	c := &Connection{
		registry: r, id: n.ID(), token: n.Token(), client: n.client(), stateful: n.stateful,
		user: n.user, ticket: n.user.Ticket(), origin: n.origin,
		observer: n.observer, silence: n.silence, left: r.begun.Add(n.since),
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	r.running.Add(1)
	r.connections[c.token] = c
	r.loosen(c)
	return c
}

// enter counts a request. It reports false after Shutdown has closed all connections.
func (r *Registry) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return false
	}
	r.running.Add(1)
	return true
}

// Find returns the connection with a token, or nil.
func (r *Registry) Find(token string) *Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.negotiated.claim(token); n != nil {
		return r.establish(n)
	}
	return r.connections[token]
}

// Len returns the number of connections, including negotiated ones.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.len()
}

// len requires that mu is locked.
func (r *Registry) len() int { return len(r.negotiated.byToken) + len(r.connections) }

// Token returns the secret that opens the connection, for the answer to a negotiation.
func (c *Connection) Token() string { return c.token }

// loosen adds c to the connections that the sweep checks. The registry's lock is held.
func (r *Registry) loosen(c *Connection) {
	if c.place == 0 {
		r.loose = append(r.loose, c)
		c.place = len(r.loose)
	}
	r.watch()
}

// watch starts the sweep. The lock is held.
func (r *Registry) watch() {
	if r.sweeper == nil {
		r.sweeper = time.AfterFunc(sweepInterval, r.sweep)
	}
}

// watches reports whether there is anything to sweep. The lock is held.
func (r *Registry) watches() bool { return len(r.loose)+len(r.negotiated.byToken) > 0 }

// fasten removes c from the connections that the sweep checks. The registry's lock is held.
func (r *Registry) fasten(c *Connection) {
	if c.place == 0 {
		return
	}
	last := len(r.loose) - 1
	moved := r.loose[last]
	r.loose[c.place-1], moved.place = moved, c.place
	r.loose[last] = nil
	r.loose, c.place = r.loose[:last], 0
}

// settle updates whether the sweep checks c, which it does if no request holds c now. The
// call may be late: another request may have released or claimed c in the meantime.
func (r *Registry) settle(c *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.isLoose() {
		r.fasten(c)
	} else if r.connections[c.token] == c {
		r.loosen(c)
	}
}

func (c *Connection) isLoose() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kind == transports.LongPolling || !c.left.IsZero() // long-polling requests come and go
}

func (r *Registry) sweep() {
	var late []*Connection
	now := time.Now()
	r.mu.Lock()
	unclaimed := r.forget(now.Sub(r.begun) - r.options.DisconnectTimeout)
	for _, c := range r.loose {
		if c.overdue(now) {
			late = append(late, c)
		}
	}
	if r.watches() {
		r.sweeper.Reset(sweepInterval)
	} else {
		r.sweeper = nil
	}
	r.mu.Unlock()
	for _, c := range late {
		c.endIf(transports.ErrTimeout, true, func() bool { return c.late(now) })
	}
	for _, n := range unclaimed {
		if n.observer != nil {
			r.tell(n.observer, transports.Event{Kind: transports.Unclaimed})
		}
	}
}

// forget removes the negotiations made at or before a time. The lock is held.
func (r *Registry) forget(by time.Duration) []*Negotiation {
	late := r.negotiated.expire(by)
	for _, n := range late {
		r.census.leave(n.client())
	}
	return late
}

func (c *Connection) overdue(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.late(now)
}

func (r *Registry) remove(c *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.connections, c.token)
	r.census.leave(c.client)
	r.fasten(c)
	if r.stopped && c.isDrained() {
		r.drained++
	}
	if !r.watches() && r.sweeper != nil && r.sweeper.Stop() {
		r.sweeper = nil
	}
	if r.empty != nil && len(r.connections) == 0 {
		close(r.empty)
		r.empty = nil
	}
	r.running.Done()
}

// Poller returns the poller of all network connections that carriers take from the HTTP
// server. Shutdown waits for its goroutines.
func (r *Registry) Poller() *poller.Poller { return r.poller }
