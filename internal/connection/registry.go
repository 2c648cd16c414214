package connection

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/internal/poller"
	"github.com/carillon-go/carillon/transports"
)

// Registry holds the connections of one endpoint and finds them by their tokens.
// It is safe for concurrent use.
type Registry struct {
	options    transports.Options
	refreshing Refreshing
	seals
	observe func(*http.Request, []byte) transports.Observer
	app     transports.Application
	begun   time.Time
	work    work // connections, requests, and goroutines that outlive the call that started them
	poller  *poller.Poller

	queued  atomic.Int64 // bytes queued in all connections
	refused refusals
	logbook
	heads
	complaints complaints

	mu          sync.Mutex
	negotiated  negotiations // not opened yet
	connections map[string]*Connection
	counts      connCounts
	// idle are the connections that may have no request now, and all long-polling ones. The
	// sweep checks only these, and ends those without a request for too long.
	idle    idleList
	sweeper *time.Timer // nil while there is nothing to sweep
	stopped bool
	drained int         // opened connections that have ended in order since Stop
	cutOff  int         // connections that Shutdown has cut
	empty   notify.Gate // opens when the last connection is gone
}

// sweepInterval is the interval at which time-outs are checked, as in ASP.NET Core.
const sweepInterval = time.Second

// NewRegistry returns a registry that passes its connections to app.
func NewRegistry(app transports.Application, options transports.Options) *Registry {
	options = options.WithDefaults()
	r := &Registry{
		options:     options,
		logbook:     logbook{options.Logger, floodgate.New(options.Logger)},
		heads:       heads{limit: int64(options.Limits.HeadBytes)},
		app:         app,
		begun:       time.Now(),
		negotiated:  negotiations{byToken: map[[idLength]byte]*Negotiation{}},
		connections: map[string]*Connection{},
		counts:      connCounts{users: map[string]int{}, addresses: map[netip.Addr]int{}},
	}
	r.work.cutting, r.work.cut = context.WithCancel(context.Background())
	r.poller = poller.New(&r.work.running)
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

// NewKey returns a key like those of connections.
func NewKey() string {
	b := newIDs()
	return string(b[idLength:])
}

// ErrStopped is the error of Admit, Promise and Create after Stop or Shutdown.
var ErrStopped = errors.New("transports: the server shuts down")

// Create creates a connection for a request that opens it at once. It fails like Admit.
// hasToken and stateful are as in Terms.
func (r *Registry) Create(request *http.Request, hasToken bool, stateful ...transports.Type) (*Connection, error) {
	n := r.newNegotiation(request)
	n.accept(Terms{HasToken: hasToken, Stateful: stateful}, r.options.AllowStatefulReconnect)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admitLocked(n); err != nil {
		return nil, err
	}
	return r.establishLocked(n), nil
}

// establishLocked turns a negotiation into a connection.
func (r *Registry) establishLocked(n *Negotiation) *Connection {
	c := &Connection{
		outbound: outbound{registry: r, left: r.begun.Add(n.since)},
		stateful: n.stateful,
		identity: identity{
			id: n.ID(), token: n.Token(), client: n.client(), ticket: n.user.Ticket(), origin: n.origin,
			credentials: credentials{user: n.user},
		},
		observation: observation{observer: n.observer, silence: n.silence},
	}
	c.owner = c
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	r.work.running.Add(1) // before Shutdown finishes the work, because it first removes all negotiations
	r.connections[c.token] = c
	r.idle.add(c)
	r.startSweepLocked()
	return c
}

// Find returns the connection with a key, or nil. It makes the connection of a negotiation. The
// key is the connection's token, unless Elsewhere seals that.
func (r *Registry) Find(key string) *Connection { return r.find(key, false) }

// find is Find for a request. opens reports that it may open the connection.
func (r *Registry) find(key string, opens bool) (c *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.negotiated.claim(key); n != nil {
		c = r.establishLocked(n)
	} else if c = r.connections[key]; c == nil {
		return nil
	}
	c.wanted = c.wanted || opens
	return c
}

// Owner is the owner of a connection or of a negotiation.
type Owner interface {
	User() *auth.User
	// HasTicket reports whether the connection was negotiated with the ticket that has the
	// digest.
	HasTicket(digest string) bool
}

// Lookup returns the owner of the connection, or of the negotiation, with a token, or nil if it
// is not here. It makes no connection, so a request that is not authenticated yet may use it.
func (r *Registry) Lookup(token string) Owner {
	key, _ := r.open(token)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.negotiated.find(key); n != nil {
		return n
	}
	if c := r.connections[key]; c != nil {
		return c
	}
	return nil
}

// Len returns the number of connections, including admitted and negotiated ones.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts.all
}

// startSweepLocked starts the sweep, unless it runs.
func (r *Registry) startSweepLocked() {
	if r.sweeper == nil {
		r.sweeper = time.AfterFunc(sweepInterval, r.sweep)
	}
}

// hasSweepWorkLocked reports whether there is anything to sweep.
func (r *Registry) hasSweepWorkLocked() bool { return len(r.idle.all)+len(r.negotiated.byToken) > 0 }

// idleList holds connections in no order.
type idleList struct{ all []*Connection }

// add adds c, unless the list has it.
func (l *idleList) add(c *Connection) {
	if c.place == 0 {
		l.all = append(l.all, c)
		c.place = int32(len(l.all))
	}
}

// remove removes c, if the list has it.
func (l *idleList) remove(c *Connection) {
	if c.place == 0 {
		return
	}
	last := len(l.all) - 1
	moved := l.all[last]
	l.all[c.place-1], moved.place = moved, c.place
	l.all[last] = nil
	l.all, c.place = l.all[:last], 0
}

// updateIdle updates whether the sweep checks c, which it does if no request holds c now. The
// call may be late: another request may have released or claimed c in the meantime.
func (r *Registry) updateIdle(c *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !c.isIdle() {
		r.idle.remove(c)
	} else if r.connections[c.token] == c {
		r.idle.add(c)
		r.startSweepLocked()
	}
}

func (r *Registry) sweep() {
	var late []*Connection
	now := time.Now()
	r.mu.Lock()
	unclaimed := r.forgetLocked(now.Sub(r.begun) - r.options.DisconnectTimeout)
	for _, c := range r.idle.all {
		if c.isOverdue(now) {
			late = append(late, c)
		}
	}
	if r.hasSweepWorkLocked() {
		r.sweeper.Reset(sweepInterval)
	} else {
		r.sweeper = nil
	}
	r.mu.Unlock()
	for _, c := range late {
		c.end(transports.ErrTimeout, true, func() bool { return c.isOverdueLocked(now) })
	}
	for _, n := range unclaimed {
		if n.observer != nil {
			r.report(n.observer, transports.Event{Kind: transports.Unclaimed})
		}
	}
}

// forgetLocked removes the negotiations made at or before a time.
func (r *Registry) forgetLocked(by time.Duration) []*Negotiation {
	late := r.negotiated.expire(by)
	for _, n := range late {
		r.counts.leave(n.client())
	}
	return late
}

func (r *Registry) remove(c *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.connections, c.token)
	r.counts.leave(c.client)
	r.idle.remove(c)
	if r.stopped && c.isDrained() {
		r.drained++
	}
	if !r.hasSweepWorkLocked() && r.sweeper != nil && r.sweeper.Stop() {
		r.sweeper = nil
	}
	if len(r.connections) == 0 {
		r.empty.Open()
	}
	r.work.running.Done()
}

// Poller returns the poller of all network connections that carriers take from the HTTP
// server. Shutdown waits for its goroutines.
func (r *Registry) Poller() *poller.Poller { return r.poller }
