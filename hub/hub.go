package hub

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carillon-go/carillon/internal/dispatch"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/fold"
)

// Hub is a set of methods that clients invoke, together with the connected clients.
// Methods, OnConnected and OnDisconnected are registered before the first connection. All
// other methods are safe for concurrent use.
type Hub struct {
	options        Options
	wires          []*wire
	outgoing       []*wire               // of messages to other processes: also those that the hub does not serve
	events         *wire                 // for clients that only listen
	methods        map[string]*published // by the declared name and by its folded form
	unknown        *published            // HandleUnknown; nil: there is none
	onConnected    func(ctx context.Context) error
	onDisconnected func(ctx context.Context, cause error)
	onRefreshed    func(ctx context.Context)
	// Some filter has the function of that name.
	hasInvokeFilter, hasConnectFilter, hasDisconnectFilter bool

	local        local
	userGroups   keptGroups
	backplane    Backplane // nil: messages stay in this process
	commands     Commander // nil: commands stay in this process
	presence     Presence  // nil: no other process is asked
	joining      joining   // sessions that join the backplane
	sessions     sweep
	started      atomic.Bool
	lastSession  atomic.Uint32 // the number of the newest session
	lastResultID atomic.Int64  // the newest invocation id of a client result
	resultOwners sync.Map      // the sessions of all pending results, by id
	refused      refusals
	gate         *floodgate.Gate // of lines that clients can provoke
}

// New returns a hub without methods. It panics if Options.Protocols names an unknown
// protocol or names one twice, and if a policy of Options.Authorize is nil.
func New(o Options) *Hub {
	o = o.withDefaults()
	checkPolicies(o.Authorize)
	h := &Hub{
		options:   o,
		wires:     newWires(o),
		events:    newEventWire(o),
		methods:   make(map[string]*published),
		gate:      floodgate.New(o.Logger),
		backplane: o.Backplane,
		commands:  o.Commands,
		presence:  o.Presence,
	}
	h.sessions.workers = dispatch.NewPool(&h.sessions.running, o.MaxParallelInvocations)
	for _, f := range o.Filters {
		h.hasInvokeFilter = h.hasInvokeFilter || f.Invoke != nil
		h.hasConnectFilter = h.hasConnectFilter || f.Connect != nil
		h.hasDisconnectFilter = h.hasDisconnectFilter || f.Disconnect != nil
	}
	if h.backplane != nil {
		h.outgoing = withForeign(h.wires)
		h.commands = h.backplane
	}
	if h.commands != nil {
		h.commands.Attach(Local{h})
	}
	if h.presence == nil {
		h.presence, _ = o.Commands.(Presence)
	}
	if h.presence != nil {
		h.presence.AttachPresence(Local{h})
	}
	return h
}

// Handle registers a method under a name. Clients may write the name in any case. Handle
// panics, with the place of the call, if the name is empty or taken, if the method is the
// zero Method or was made from a nil function, if one of the hub's protocols cannot
// decode a parameter or encode the result, and after the first connection.
func (h *Hub) Handle(name string, m Method) {
	place := h.registering()
	if err := h.check(name, m); err != nil {
		panic(fmt.Sprintf("hub: %s: %v", place, err))
	}
	p := &published{m, name, place}
	h.methods[foldName(name)] = p
	h.methods[name] = p
}

// method returns the method for a target as sent by a client, or nil.
func (h *Hub) method(target string) *published {
	if m := h.methods[target]; m != nil {
		return m
	}
	return h.methods[foldName(target)]
}

// foldName maps names that differ only in case to one name.
func foldName(name string) string { return fold.Upper(name) }

// OnConnected sets the function that runs after a client's handshake, before any of its
// messages is handled. If it fails, the connection ends with a close message that does
// not allow the client to reconnect. The start of the client has already succeeded by
// then; Options.Authorize refuses earlier. f cannot wait for results of its own client: see
// Invoke. OnConnected panics if f is nil, if it was called before, and after the first
// connection.
func (h *Hub) OnConnected(f func(ctx context.Context) error) {
	h.registerOnce("OnConnected", h.onConnected != nil, f == nil)
	h.onConnected = f
}

// OnDisconnected sets the function that runs when a connection has ended, after the
// invocations of its client. It runs only if OnConnected succeeded. cause is nil after an
// orderly end by either side. ctx carries the caller and is not cancelled. OnDisconnected
// panics as OnConnected does.
func (h *Hub) OnDisconnected(f func(ctx context.Context, cause error)) {
	h.registerOnce("OnDisconnected", h.onDisconnected != nil, f == nil)
	h.onDisconnected = f
}

// Clients returns the audiences as untyped senders. NewContext returns typed ones.
func (h *Hub) Clients() Clients[Sender] {
	return Clients[Sender]{hub: h, proxy: func(s Sender) Sender { return s }}
}

// Groups returns the groups.
func (h *Hub) Groups() Groups { return groups{h} }

// UserGroups returns the memberships of users in groups.
func (h *Hub) UserGroups() UserGroups { return userGroups{h} }

// CloseConnections ends the connections of an audience, wherever they are. Each client gets a
// close message with reason as its error, unless it is "", and with the permission to reconnect
// if allowReconnect is set. Messages that its methods send afterwards are dropped.
// CloseConnections does not wait for the connections to end, and it misses those that are still
// in the handshake. Connections that do not exist are ignored. If it fails, connections of other
// processes may have remained. Processes of ASP.NET Core that share a backplane do not heed
// to.Except of users.
func (h *Hub) CloseConnections(ctx context.Context, to Audience, reason string, allowReconnect bool) error {
	if to.Kind == ToConnections && len(to.Except) > 0 {
		except := newNameSet(to.Except)
		to.Names, to.Except = slices.DeleteFunc(slices.Clone(to.Names), except.has), nil
	}
	c := Command{Action: EndConnections, To: to, Reason: reason, AllowReconnect: allowReconnect}
	if c.To.Names = h.local.end(c); len(c.To.Names) == 0 && to.Kind != Everyone {
		return nil
	}
	return h.command(ctx, c)
}

// Disconnect ends connections with a close message that does not allow the client to
// reconnect, as with Caller.Abort. See CloseConnections.
func (h *Hub) Disconnect(ctx context.Context, connectionIDs ...string) error {
	return h.CloseConnections(ctx, Audience{Kind: ToConnections, Names: connectionIDs}, "", false)
}

// DisconnectUser ends every connection of the given users, as Disconnect does. It does not
// prevent a new connection. To keep a user out, also revoke the user's token.
func (h *Hub) DisconnectUser(ctx context.Context, userIDs ...string) error {
	return h.CloseConnections(ctx, Audience{Kind: OfUsers, Names: userIDs}, "", false)
}

// Connect starts a session on a connection. The caller passes received data to
// Session.Receive and calls Session.Disconnected after the connection has ended. If
// Options.Authorize refuse the user, Connect closes the connection, unless info.Authorized is
// set; AuthorizeRequests refuses earlier.
func (h *Hub) Connect(c Connection, info ConnectInfo) *Session {
	h.started.Store(true)
	if _, ok := c.(Recorder); ok {
		h.local.recording.Store(true)
	}
	s := newSession(h, c, info)
	if !h.sessions.add(s) {
		s.dismiss()
	} else if err := h.authorize(s); err != nil {
		s.close(err, "", false)
	}
	if info.Listens {
		if k := h.local.history; k != nil {
			k.mu.Lock() // later events follow the start of the stream
			defer k.mu.Unlock()
		}
		s.out.wire = h.events
		s.opening.connect(h.events.handshakeResponse)
	}
	return s
}
