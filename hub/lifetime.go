package hub

import (
	"context"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/protocol"
)

// Lifetime knows who is connected, in which groups and as which user, and sends to
// them. It is the one place that a backplane replaces.
type Lifetime interface {
	// Connected takes in a session before its handshake is answered. It must not send
	// to it.
	Connected(s *Session)
	// Disconnected forgets it and its memberships, once.
	Disconnected(s *Session)
	// Add adds a connection to a group, wherever it is; see Groups.
	Add(ctx context.Context, connectionID, group string) error
	// Remove takes a connection out of a group.
	Remove(ctx context.Context, connectionID, group string) error
	// Send invokes a method on an audience; see Sender.
	Send(ctx context.Context, to Audience, method string, args []any) error
	// Disconnect ends connections, or those of users; see Hub.Disconnect.
	Disconnect(ctx context.Context, who Audience) error
	// Ask invokes a method on one connection and waits for its result, which decode
	// gets raw. If Ask fails decode may go on running.
	Ask(ctx context.Context, connectionID, method string, args []any, decode decoder) error
}

// decoder decodes the raw result of a client; raw is valid during the call only.
type decoder func(p protocol.HubProtocol, raw []byte) error

// AudienceKind tells what the names of an Audience are.
type AudienceKind int

// The kinds of audiences.
const (
	Everyone    AudienceKind = iota // no names
	Connections                     // ids of connections
	InGroups                        // names of groups
	OfUsers                         // ids of users
)

// Audience is who a message goes to, as data.
type Audience struct {
	Kind  AudienceKind
	Names []string
	// Except are ids of connections that the message does not go to.
	Except []string
	// Delivery says what becomes of the message for those who read too slowly.
	Delivery frame.Delivery
}

// local is the Lifetime of a hub that stands alone. Behind a backplane it would be what one
// process has of the hub, and sends there what comes.
type local struct {
	members            // those who shook hands
	listeners members  // those who did not, in whose streams events are in order
	history   *history // nil: none is kept for them
}

// membersOf is where a session belongs.
func (l *local) membersOf(s *Session) *members {
	if s.info.Listens {
		return &l.listeners
	}
	return &l.members
}

func (l *local) find(connectionID string) *Session {
	if s := l.connections.find(connectionID); s != nil {
		return s
	}
	return l.listeners.connections.find(connectionID)
}

func (l *local) Connected(s *Session) { l.membersOf(s).add(s) }

func (l *local) Disconnected(s *Session) { l.membersOf(s).remove(s) }

func (l *local) Add(_ context.Context, connectionID, group string) error {
	if s := l.find(connectionID); s != nil {
		s.groups.join(group, func() { l.membersOf(s).groups.add(group, s) })
	}
	return nil
}

func (l *local) Remove(_ context.Context, connectionID, group string) error {
	if s := l.find(connectionID); s != nil {
		s.groups.leave(group, func() { l.membersOf(s).groups.remove(group, s) })
	}
	return nil
}

func (l *local) Send(ctx context.Context, to Audience, method string, args []any) error {
	m := message{method: method, args: args, delivery: to.Delivery}
	if to.Kind == Connections {
		return l.sendToConnections(ctx, to, &m)
	}
	if err := l.sendToListeners(to, &m); err != nil {
		return err
	}
	return l.send(to, &m)
}

// sendToListeners sends to listeners. What is kept for them waits for its turn: they say which event
// was their last one, and then get what has a higher number.
func (l *local) sendToListeners(to Audience, m *message) error {
	if l.history != nil {
		sent, err := l.history.keepEvent(to, m)
		if err != nil {
			return err
		}
		defer sent()
	}
	return l.listeners.send(to, m)
}

func (l *local) sendToConnections(ctx context.Context, to Audience, m *message) error {
	if len(to.Names) == 1 {
		s := l.find(to.Names[0])
		if s == nil {
			return nil
		}
		if c := CallerFrom(ctx); c != nil && c.session == s && to.Delivery == (frame.Delivery{}) {
			return s.sendOwn(ctx, m)
		}
	}
	var passed seenNames
	except := newNameSet(to.Except)
	for i, id := range to.Names {
		if s := l.find(id); !passed.isRepeated(to.Names, i) && s != nil {
			if err := fanOut([]*Session{s}, except, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *local) Ask(ctx context.Context, connectionID, method string, args []any, decode decoder) error {
	s := l.find(connectionID)
	if s == nil {
		return noSuchConnection(connectionID)
	}
	return s.ask(ctx, method, args, decode)
}
