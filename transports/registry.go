package transports

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
)

// Registry holds the connections of one endpoint and finds them by their tokens.
// It is safe for concurrent use.
type Registry struct {
	options    Options
	refreshing Refreshing
	app        Application
	begun      time.Time
	// running counts connections, requests, and goroutines that outlive the call which
	// began them: each is begun by one that is counted, or under mu before finished.
	running sync.WaitGroup

	// cutting ends what is still under way when Shutdown's time is over.
	cutting context.Context
	cut     context.CancelFunc

	queued  atomic.Int64 // bytes that wait in all connections
	kept    atomic.Int64 // bytes of the heads that all connections keep
	refused refusals
	logged  atomic.Int64 // the second of the last line about a limit

	mu          sync.Mutex
	negotiated  negotiations // for which nobody has come yet
	connections map[string]*Connection
	census      census
	// loose are the connections that no request holds at this moment, and those of long
	// polling: the sweep ends those that stay so. Everything else it need not look at.
	loose    []*Connection // each at its place
	sweeper  *time.Timer   // nil while there is nothing to sweep
	stopped  bool
	finished bool          // Shutdown only waits for what runs
	outside  []Outside     // connections that it ends as well
	empty    chan struct{} // closed when stopped and the last connection is gone
}

// sweepInterval is how often time-outs are looked at, as in the original.
const sweepInterval = time.Second

// NewRegistry returns a registry whose connections are given to app.
func NewRegistry(app Application, options Options) *Registry {
	cutting, cut := context.WithCancel(context.Background())
	return &Registry{
		cutting:     cutting,
		cut:         cut,
		options:     options.WithDefaults(),
		app:         app,
		begun:       time.Now(),
		negotiated:  negotiations{byToken: map[[idLength]byte]*Negotiation{}},
		connections: map[string]*Connection{},
		census:      newCensus(),
	}
}

// random is what ids are made of, read from the system for many of them at a time.
var random = struct {
	sync.Mutex
	*bufio.Reader
}{Reader: bufio.NewReaderSize(rand.Reader, 1024)}

// idLength is that of 128 bits in base64url.
const idLength = 22

// newIDs makes an id and a token, each of 128 random bits.
func newIDs() (b [2 * idLength]byte) {
	random.Lock()
	bits, _ := random.Peek(32) // never fails
	base64.RawURLEncoding.Encode(b[:idLength], bits[:16])
	base64.RawURLEncoding.Encode(b[idLength:], bits[16:])
	_, _ = random.Discard(32)
	random.Unlock()
	return b
}

// ErrStopped is what Negotiate and Create return after Shutdown began.
var ErrStopped = errors.New("transports: the server shuts down")

// Create makes a connection for a request that opens it at once. It is otherwise as
// Negotiate.
func (r *Registry) Create(request *http.Request, hasToken bool, stateful ...Type) (*Connection, error) {
	n := r.newNegotiation(request, hasToken, stateful)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admit(n); err != nil {
		return nil, err
	}
	return r.establish(n), nil
}

// establish makes the connection that was negotiated. The lock is held.
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

// enter counts a request; false: Shutdown is through.
func (r *Registry) enter() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return false
	}
	r.running.Add(1)
	return true
}

// Find returns the connection with a token, nil if there is none.
func (r *Registry) Find(token string) *Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.negotiated.claim(token); n != nil {
		return r.establish(n)
	}
	return r.connections[token]
}

// Len is the number of connections, negotiated ones included.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.len()
}

// len needs the lock.
func (r *Registry) len() int { return len(r.negotiated.byToken) + len(r.connections) }

// Token is the secret that opens the connection, for the answer to negotiation.
func (c *Connection) Token() string { return c.token }

// loosen puts c under the sweep. The registry's lock is held.
func (r *Registry) loosen(c *Connection) {
	if c.place == 0 {
		r.loose = append(r.loose, c)
		c.place = len(r.loose)
	}
	r.watch()
}

// watch has the sweep run. The lock is held.
func (r *Registry) watch() {
	if r.sweeper == nil {
		r.sweeper = time.AfterFunc(sweepInterval, r.sweep)
	}
}

// watches tells whether there is anything to sweep. The lock is held.
func (r *Registry) watches() bool { return len(r.loose)+len(r.negotiated.byToken) > 0 }

// fasten takes c from under the sweep. The registry's lock is held.
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

// settle has the sweep look at c if no request holds it now. The caller may be late: another
// one may have let go of it, or come for it, meanwhile.
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
	return c.kind == LongPolling || !c.left.IsZero() // whose requests come and go
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
		c.endIf(ErrTimeout, true, func() bool { return c.late(now) })
	}
	for _, n := range unclaimed {
		if n.observer != nil {
			r.tell(n.observer, Event{Kind: Unclaimed})
		}
	}
}

// forget takes back what was negotiated by a time. The lock is held.
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
	if !r.watches() && r.sweeper != nil && r.sweeper.Stop() {
		r.sweeper = nil
	}
	if r.empty != nil && len(r.connections) == 0 {
		close(r.empty)
		r.empty = nil
	}
	r.running.Done()
}

// Running counts what Shutdown waits for. A carrier adds to it while it serves a
// request or is attached.
func (r *Registry) Running() *sync.WaitGroup { return &r.running }
