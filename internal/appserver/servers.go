// Package appserver holds the clients of application servers: ASP.NET Core applications that call
// AddAzureSignalR after AddSignalR. An application keeps its hubs and has a few connections
// to this process, over which the data of all clients passes. The protocol is that of package
// serviceprotocol.
package appserver

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// Servers are the application servers of one hub. It implements hub.Relay. It is safe for
// concurrent use.
type Servers struct {
	options ServersOptions
	gate    *floodgate.Gate
	hub     *hosting.Hub // set by Attach

	mu      sync.Mutex
	links   []*link
	clients map[string]*client   // by connection id
	asked   map[string]*question // by the id of the result
	// unanswered are the clients without an answer to their handshake.
	unanswered map[*client]struct{}
	// homeless are the clients that wait for a server, with the timer that ends the wait.
	homeless   map[*client]*time.Timer
	arrived    notify.Gate           // opens when a server connects, or has room again
	departures map[string]*departure // by the id of the server
	moves      uint64

	acks    atomic.Uint64
	blazor  sync.Once    // warns of clients without a fixed server
	waiting atomic.Int32 // negotiations
	open    atomic.Int32 // connections of servers, including those before their handshake
}

// ServersOptions configure Servers.
type ServersOptions struct {
	// Takeover says when clients move to another server. Default Asked.
	Takeover Takeover
	// Hold is the longest time for which a client that moves waits for a server. Then its connection
	// ends so that it reconnects. Default 30 s.
	Hold time.Duration
	// Logger gets warnings, and a line when a server connects and when it leaves. Default
	// slog.Default().
	Logger *slog.Logger
}

// NewServers returns no servers yet. The hub that has them as its Relay is passed to Attach.
func NewServers(o ServersOptions) *Servers {
	if o.Hold == 0 {
		o.Hold = 30 * time.Second
	}
	return &Servers{
		options: o, gate: floodgate.New(o.Logger),
		clients: map[string]*client{}, unanswered: map[*client]struct{}{}, asked: map[string]*question{}, homeless: map[*client]*time.Timer{}, departures: map[string]*departure{},
	}
}

// Attach sets the hub, once, before its first client and its first server.
func (s *Servers) Attach(h *hosting.Hub) { s.hub = h }

// The errors of clients without a server.
var (
	errNoServer   = hub.NewError("No application server is connected.")
	errOtherIsOut = hub.NewError("The application server that the client requires is not connected.")
)

// tokenOf returns the content of the token of a client's request, or nil if there is none that is
// valid, or was.
func (s *Servers) tokenOf(r *http.Request) *accesskey.Token {
	if r == nil {
		return nil
	}
	text, _ := auth.Token(r)
	t, _ := s.hub.Keys().Token(text, accesskey.Client, s.hub.Name, r) // the endpoint has judged it
	return t
}

// The claims of a client's token that concern servers.
const (
	serverClaim = "asrs.s.sn"      // the id of a server
	stickyClaim = "asrs.s.ssticky" // "Required", or the server is preferred
)

// serverWait is the longest time that a negotiation waits for a server, and maxWaiting is the number
// of negotiations that wait.
const (
	serverWait = 5 * time.Second
	maxWaiting = 1000
)

// Ready waits until a server is connected that can take the client of a token. It fails after
// serverWait, when ctx ends, when too many wait, and at once if the token requires a server that is not
// there.
func (s *Servers) Ready(ctx context.Context, t *accesskey.Token) error {
	ctx, cancel := context.WithTimeout(ctx, serverWait)
	defer cancel()
	if s.waiting.Add(1) > maxWaiting {
		s.waiting.Add(-1)
		return errNoServer
	}
	defer s.waiting.Add(-1)
	for {
		s.mu.Lock()
		_, err := s.chooseLocked(t, anyLink)
		arrived := s.arrived.Wait()
		s.mu.Unlock()
		if err != nil && !errors.Is(err, errNoServer) {
			server, _ := t.First(serverClaim)
			s.warn("client refused", server, slog.String("error", err.Error()))
		}
		if !errors.Is(err, errNoServer) {
			return err
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return err
		}
	}
}

// chooseLocked returns the connection for a new client: that of the server with the fewest clients,
// and of its connections that with the fewest.
func (s *Servers) chooseLocked(t *accesskey.Token, admit func(*link) bool) (*link, error) {
	usable := slices.DeleteFunc(slices.Clone(s.links), func(l *link) bool { return !l.takesClients() || !admit(l) })
	if t != nil {
		wanted, _ := t.First(serverClaim)
		own := slices.DeleteFunc(slices.Clone(usable), func(l *link) bool { return l.server != wanted })
		switch {
		case len(own) > 0:
			usable = own
		case wanted != "" && isSticky(t):
			return nil, errOtherIsOut
		}
	}
	if len(usable) == 0 {
		return nil, errNoServer
	}
	byServer := map[string]int{}
	for _, l := range s.links {
		byServer[l.server] += len(l.clients)
	}
	return slices.MinFunc(usable, func(a, b *link) int {
		return cmp.Or(cmp.Compare(byServer[a.server], byServer[b.server]), cmp.Compare(len(a.clients), len(b.clients)))
	}), nil
}

func anyLink(*link) bool { return true }

// isSticky reports whether a client must stay with its server.
func isSticky(t *accesskey.Token) bool {
	if t == nil {
		return false
	}
	sticky, _ := t.First(stickyClaim)
	return sticky == "Required"
}

// takesClients reports whether new clients may be given to the connection. If only its queue is too
// long, it looks for clients that wait once it is shorter.
func (l *link) takesClients() bool {
	if l.kind == serviceprotocol.WeakConnection || l.leaving.Load() {
		return false
	}
	slow := l.out.isSlow()
	if slow {
		l.passedOver.Notify()
	}
	return !slow
}

// Open implements hub.Relay.
func (s *Servers) Open(r *hub.Relayed, handshake []byte) (hub.Remote, error) {
	t := s.tokenOf(r.Caller().Request())
	c := &client{servers: s, relayed: r, token: t}
	c.order.Lock() // it does not move before its server knows it
	defer c.order.Unlock()
	s.mu.Lock()
	l, err := s.chooseLocked(t, anyLink)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	c.link = l
	if r.Protocol() == "blazorpack" && !isSticky(t) {
		s.blazor.Do(func() {
			s.warn("clients of Blazor need ServerStickyMode.Required", l.server, slog.String("protocol", r.Protocol()))
		})
	}
	if s.level(l) > serviceprotocol.NeverMigrate && !isSticky(t) {
		c.handshake, c.tracker = bytes.Clone(handshake), newTracker(r.Protocol())
	}
	s.clients[r.ConnectionID()], l.clients[r.ConnectionID()] = c, c
	s.unanswered[c] = struct{}{}
	s.mu.Unlock()
	_ = l.out.put(c.introduction()) // if it fails, the link ends, and with it the client
	_ = l.out.put(c.data(handshake))
	return c, nil
}

// forget removes a client, and completes the questions to it.
func (s *Servers) forget(c *client) (l *link, known bool) {
	id := c.relayed.ConnectionID()
	var questions []*question
	s.mu.Lock()
	if known = s.clients[id] == c; known {
		delete(s.clients, id)
		delete(s.unanswered, c)
		if l = c.link; l != nil {
			delete(l.clients, id)
			s.departedLocked(l, c)
		}
		s.endWaitLocked(c)
		questions = s.unansweredLocked(c)
	}
	s.mu.Unlock()
	for _, q := range questions {
		q.fail(disconnectedText)
	}
	return l, known
}

// find returns the client with a connection id, if it belongs to a server connection.
func (s *Servers) find(l *link, id string) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[id]; c != nil && c.link == l {
		return c
	}
	return nil
}

// add adds a server connection. That of a server that leaves gets no clients.
func (s *Servers) add(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.leaving.Store(s.departures[l.server] != nil)
	s.links = append(s.links, l)
}

// remove removes a server connection, which has ended. Its clients move or reconnect.
func (s *Servers) remove(l *link) (clients int) {
	all := s.detach(l)
	for _, c := range all {
		if c.movesAt(l, serviceprotocol.MigrateAlways) {
			s.lost(c, l)
		} else {
			c.relayed.Lose(errServerLost)
		}
	}
	return len(all)
}

func (s *Servers) detach(l *link) []*client {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = slices.DeleteFunc(s.links, func(other *link) bool { return other == l })
	if !slices.ContainsFunc(s.links, func(other *link) bool { return other.server == l.server }) {
		delete(s.departures, l.server)
	}
	for _, q := range s.asked {
		if q.caller == l {
			s.answeredLocked(q)
		}
	}
	return slices.Collect(maps.Values(l.clients))
}

// Close writes the numbers of lines of the log that were left out.
func (s *Servers) Close() { s.gate.Close() }
