package hub

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/carillon-go/carillon/internal/crew"
	"github.com/carillon-go/carillon/internal/fold"
)

// Hub is a set of methods that clients invoke, and the clients that are connected.
// Methods, OnConnected and OnDisconnected are registered before the first connection;
// everything else is safe for concurrent use.
type Hub struct {
	options        Options
	wires          []*wire
	events         *wire                 // of those who only listen
	methods        map[string]*published // by the name as declared and by its folded form
	onConnected    func(ctx context.Context) error
	onDisconnected func(ctx context.Context, cause error)
	onRefreshed    func(ctx context.Context)
	observed       bool // a filter looks at invocations

	lifetime       Lifetime
	local          *local // what this process has of it
	sessions       sweep
	started        atomic.Bool
	lastSession    atomic.Uint64 // sessions, ever
	lastResultID   atomic.Int64  // questions asked of clients
	pendingResults pendingResults
	refused        refusals
}

// New makes a hub without methods. It panics if Options.Protocols names a protocol
// that does not exist, or one twice.
func New(o Options) *Hub {
	o = o.withDefaults()
	l := &local{}
	h := &Hub{
		options:  o,
		wires:    newWires(o),
		events:   newEventWire(o),
		methods:  make(map[string]*published),
		local:    l,
		lifetime: l,
	}
	h.sessions.workers = crew.New(&h.sessions.running, runCalls)
	for _, f := range o.Filters {
		h.observed = h.observed || f.Invoke != nil
	}
	return h
}

// Handle publishes a method under a name, which clients may write in any case. It
// panics, with the place of the call, if the name is empty or taken, if the method is the zero
// Method or made of a nil function, if the hub's protocols can't decode a parameter or encode
// the result, and after the first connection.
func (h *Hub) Handle(name string, m Method) {
	place := h.registering()
	if err := h.check(name, m); err != nil {
		panic(fmt.Sprintf("hub: %s: %v", place, err))
	}
	p := &published{Method: m, name: name, place: place, decodesItself: m.hasOwnDecoder()}
	h.methods[foldName(name)] = p
	h.methods[name] = p
}

// method finds a method by what a client wrote.
func (h *Hub) method(target string) *published {
	if m := h.methods[target]; m != nil {
		return m
	}
	return h.methods[foldName(target)]
}

// foldName maps names that differ in case alone to one.
func foldName(name string) string { return fold.Upper(name) }

// OnConnected sets what runs when a client has shaken hands, before any of its
// messages is looked at. Its error ends the connection; the client is told not to
// reconnect. It cannot ask its own client for results: see Invoke. OnConnected panics if f
// is nil, if it was called before, and after the first connection.
func (h *Hub) OnConnected(f func(ctx context.Context) error) {
	h.registerOnce("OnConnected", h.onConnected != nil, f == nil)
	h.onConnected = f
}

// OnDisconnected sets what runs when a connection has ended for which OnConnected
// succeeded, after the invocations of its client. cause is nil for an orderly end,
// by either side. ctx carries the caller and is not cancelled. OnDisconnected panics as
// OnConnected does.
func (h *Hub) OnDisconnected(f func(ctx context.Context, cause error)) {
	h.registerOnce("OnDisconnected", h.onDisconnected != nil, f == nil)
	h.onDisconnected = f
}

// Clients returns the audiences, untyped; NewContext gives typed ones.
func (h *Hub) Clients() Clients[Sender] {
	return Clients[Sender]{hub: h, proxy: func(s Sender) Sender { return s }}
}

// Groups returns the groups.
func (h *Hub) Groups() Groups { return h.lifetime }

// Connect begins a session on a connection. The caller hands on what it reads and
// says when it has ended: Session.Receive, Session.Disconnected.
func (h *Hub) Connect(c Connection, info ConnectInfo) *Session {
	h.started.Store(true)
	s := newSession(h, c, info)
	s.log(slog.LevelDebug, "ConnectedStarting")
	if !h.sessions.add(s) {
		s.dismiss()
	}
	if info.Listens {
		s.listen()
	}
	return s
}
