package hub

import "context"

// Sender sends to an audience: the untyped form of a typed proxy.
type Sender interface {
	// Send invokes a method on every client of the audience. It returns without
	// waiting for clients, but when the audience is the very connection that ctx was
	// made for: then it waits for room in its queue, until ctx is done, unless the
	// message may be dropped (see SlowPolicy). A client that does not exist is none. An
	// argument that cannot be encoded is an error. The arguments must not be changed any
	// more.
	Send(ctx context.Context, method string, args ...any) error
}

// Clients are the audiences of a hub, each in the typed form C.
type Clients[C any] struct {
	hub   *Hub
	proxy func(Sender) C
	// slow is what becomes of messages for those who read too slowly; nil: as the hub has it.
	slow *slowConsumers
}

// All is every client.
func (c Clients[C]) All() C { return c.to(Audience{Kind: Everyone}) }

// AllExcept is every client but those connections.
func (c Clients[C]) AllExcept(connectionIDs ...string) C {
	return c.to(Audience{Kind: Everyone, Except: connectionIDs})
}

// Client is one connection.
func (c Clients[C]) Client(connectionID string) C {
	return c.to(Audience{Kind: Connections, Names: []string{connectionID}})
}

// Clients are some connections.
func (c Clients[C]) Clients(connectionIDs ...string) C {
	return c.to(Audience{Kind: Connections, Names: connectionIDs})
}

// Group is every connection in a group.
func (c Clients[C]) Group(group string) C { return c.Groups(group) }

// GroupExcept is every connection in a group but those.
func (c Clients[C]) GroupExcept(group string, connectionIDs ...string) C {
	return c.to(Audience{Kind: InGroups, Names: []string{group}, Except: connectionIDs})
}

// Groups is every connection in some groups; one that is in two gets a message twice.
func (c Clients[C]) Groups(groups ...string) C {
	return c.to(Audience{Kind: InGroups, Names: groups})
}

// User is every connection of a user.
func (c Clients[C]) User(userID string) C { return c.Users(userID) }

// Users is every connection of some users.
func (c Clients[C]) Users(userIDs ...string) C {
	return c.to(Audience{Kind: OfUsers, Names: userIDs})
}

// Caller is the connection that ctx was made for; nobody if it was made for none.
func (c Clients[C]) Caller(ctx context.Context) C {
	return c.to(Audience{Kind: Connections, Names: callerID(ctx)})
}

// Others is every client but the caller.
func (c Clients[C]) Others(ctx context.Context) C { return c.AllExcept(callerID(ctx)...) }

// OthersInGroup is every connection in a group but the caller.
func (c Clients[C]) OthersInGroup(ctx context.Context, group string) C {
	return c.GroupExcept(group, callerID(ctx)...)
}

func (c Clients[C]) to(a Audience) C { return c.proxy(&audienceSender{c.hub, a, c.slow}) }

func callerID(ctx context.Context) []string {
	if c := CallerFrom(ctx); c != nil {
		return []string{c.ConnectionID()}
	}
	return nil
}

type audienceSender struct {
	hub  *Hub
	to   Audience
	slow *slowConsumers // nil: as the hub has it
}

func (s *audienceSender) Send(ctx context.Context, method string, args ...any) error {
	slow := s.slow
	if slow == nil {
		slow = &slowConsumers{policy: s.hub.options.SlowConsumers}
	}
	to := s.to
	to.Delivery = slow.delivery(method)
	return s.hub.lifetime.Send(ctx, to, method, args)
}

// Groups are sets of connections with names, which live as long as something is in
// them. Membership ends with the connection.
type Groups interface {
	// Add adds a connection to a group, as soon as it returns. A connection that does
	// not exist is no error.
	Add(ctx context.Context, connectionID, group string) error
	// Remove takes a connection out of a group.
	Remove(ctx context.Context, connectionID, group string) error
}

// Context is a hub as code outside it sees it, typed by the interface C that its
// clients implement; IHubContext<THub, T> of ASP.NET Core. Safe for concurrent use.
type Context[C any] struct{ clients Clients[C] }

// NewContext makes a context; proxy gives an audience its typed form.
func NewContext[C any](h *Hub, proxy func(Sender) C) Context[C] {
	return Context[C]{Clients[C]{hub: h, proxy: proxy}}
}

// Clients returns the audiences.
func (c Context[C]) Clients() Clients[C] { return c.clients }

// Groups returns the groups.
func (c Context[C]) Groups() Groups { return c.clients.hub.Groups() }
