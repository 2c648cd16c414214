package hub

import (
	"context"

	"github.com/carillon-go/carillon/frame"
)

// Sender sends to an audience. It is the untyped form of a typed proxy. Senders are safe
// for concurrent use.
type Sender interface {
	// Send invokes a method on every client of the audience, without a result. It does
	// not block, except when the audience is the caller that ctx carries: then it waits
	// for room in the caller's queue or for ctx, unless the message may be dropped (see
	// SlowPolicy). Connections that do not exist are ignored. Send fails if an argument
	// cannot be encoded. With Options.Backplane it also waits for the backplane and fails
	// with it, except for connections of this process. The arguments must not be modified
	// after the call.
	Send(ctx context.Context, method string, args ...any) error
}

// Clients makes the audiences of a hub, each as a typed proxy C. It is safe for
// concurrent use.
type Clients[C any] struct {
	hub   *Hub
	proxy func(Sender) C
	// slow is the policy for slow consumers; nil means the hub's.
	slow  *frame.Delivery
	local bool // only connections of this process
}

// Local returns the same audiences without the connections of other processes. Messages to
// them do not pass through Options.Backplane. It is for code that runs in each process, such
// as a worker that sends the time.
func (c Clients[C]) Local() Clients[C] {
	c.local = true
	return c
}

// All returns the audience of all clients.
func (c Clients[C]) All() C { return c.to(Audience{Kind: Everyone}) }

// AllExcept returns the audience of all clients except the given connections.
func (c Clients[C]) AllExcept(connectionIDs ...string) C {
	return c.to(Audience{Kind: Everyone, Except: connectionIDs})
}

// Client returns the audience of one connection.
func (c Clients[C]) Client(connectionID string) C {
	return c.to(Audience{Kind: ToConnections, Names: []string{connectionID}})
}

// Clients returns the audience of the given connections.
func (c Clients[C]) Clients(connectionIDs ...string) C {
	return c.to(Audience{Kind: ToConnections, Names: connectionIDs})
}

// Group returns the audience of all connections in a group.
func (c Clients[C]) Group(group string) C { return c.Groups(group) }

// GroupExcept returns the audience of all connections in a group except the given ones.
func (c Clients[C]) GroupExcept(group string, connectionIDs ...string) C {
	return c.to(Audience{Kind: InGroups, Names: []string{group}, Except: connectionIDs})
}

// Groups returns the audience of all connections in the given groups. A connection that
// is in two of them gets each message twice.
func (c Clients[C]) Groups(groups ...string) C {
	return c.to(Audience{Kind: InGroups, Names: groups})
}

// User returns the audience of all connections of a user.
func (c Clients[C]) User(userID string) C { return c.Users(userID) }

// Users returns the audience of all connections of the given users.
func (c Clients[C]) Users(userIDs ...string) C {
	return c.to(Audience{Kind: OfUsers, Names: userIDs})
}

// Caller returns the audience of the connection that ctx carries. The audience is empty
// if ctx carries none.
func (c Clients[C]) Caller(ctx context.Context) C {
	return c.to(Audience{Kind: ToConnections, Names: callerID(ctx)})
}

// Others returns the audience of all clients except the caller.
func (c Clients[C]) Others(ctx context.Context) C { return c.AllExcept(callerID(ctx)...) }

// OthersInGroup returns the audience of all connections in a group except the caller.
func (c Clients[C]) OthersInGroup(ctx context.Context, group string) C {
	return c.GroupExcept(group, callerID(ctx)...)
}

func (c Clients[C]) to(a Audience) C { return c.proxy(&audienceSender{c.hub, a, c.slow, c.local}) }

func callerID(ctx context.Context) []string {
	if c := CallerFrom(ctx); c != nil {
		return []string{c.ConnectionID()}
	}
	return nil
}

type audienceSender struct {
	hub   *Hub
	to    Audience
	slow  *frame.Delivery // nil: the hub's policy
	local bool            // only connections of this process
}

func (s *audienceSender) Send(ctx context.Context, method string, args ...any) error {
	m := &message{method: method, args: args, recorded: s.hub.local.recording.Load()}
	m.delivery = s.hub.delivery(s.slow, method)
	if s.hub.backplane == nil || s.local {
		return s.hub.local.send(ctx, s.to, m)
	}
	return s.hub.publish(ctx, s.to, m, s.slow != nil)
}

// Groups are named sets of connections. A group exists while it has members. A connection
// leaves its groups when it ends.
type Groups interface {
	// Add adds a connection of any process to a group before it returns. A connection that
	// does not exist is ignored; with Options.Backplane or Options.Commands Add fails then if
	// they do (backplane.ErrAckTimeout). Add fails when the groups of the connection would take more than
	// 4 MiB: their names, and 256 bytes for each.
	Add(ctx context.Context, connectionID, group string) error
	// Remove removes a connection from a group.
	Remove(ctx context.Context, connectionID, group string) error
	// RemoveFromAll removes a connection from every group that it is in.
	RemoveFromAll(ctx context.Context, connectionID string) error
}

// Context gives code outside the hub access to its clients, typed by the interface C that
// the clients implement. It corresponds to IHubContext<THub, T> of ASP.NET Core. It is
// safe for concurrent use.
type Context[C any] struct{ clients Clients[C] }

// NewContext returns a context. proxy wraps the untyped sender of an audience in its
// typed form.
func NewContext[C any](h *Hub, proxy func(Sender) C) Context[C] {
	return Context[C]{Clients[C]{hub: h, proxy: proxy}}
}

// Clients returns the audiences.
func (c Context[C]) Clients() Clients[C] { return c.clients }

// Groups returns the groups.
func (c Context[C]) Groups() Groups { return c.clients.hub.Groups() }
