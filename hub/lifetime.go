package hub

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/protocol"
)

// lifetime knows the connections, their groups and their users, and sends to them. A
// backplane would replace it.
type lifetime interface {
	// Connected adds a session before its handshake is answered. It must not send to the
	// session.
	Connected(s *Session)
	// Disconnected removes a session and its memberships. It is called once.
	Disconnected(s *Session)
	// Add adds a connection to a group, on any node; see Groups.
	Add(ctx context.Context, connectionID, group string) error
	// Remove removes a connection from a group.
	Remove(ctx context.Context, connectionID, group string) error
	// Send invokes a method on an audience; see Sender.
	Send(ctx context.Context, to audience, method string, args []any) error
	// Disconnect ends connections, or the connections of users; see Hub.Disconnect.
	Disconnect(ctx context.Context, who audience) error
	// Ask invokes a method on one connection and waits for its result, which it passes to
	// decode undecoded. If Ask fails, decode may still be running.
	Ask(ctx context.Context, connectionID, method string, args []any, decode decoder) error
}

// decoder decodes the raw result of a client. raw is valid only during the call.
type decoder func(p protocol.HubProtocol, raw []byte) error

// audienceKind is the meaning of an audience's names.
type audienceKind int

// The kinds of audiences.
const (
	everyone      audienceKind = iota // without names
	toConnections                     // ids of connections
	inGroups                          // names of groups
	ofUsers                           // ids of users
)

// audience describes the receivers of a message.
type audience struct {
	Kind  audienceKind
	Names []string
	// Except are ids of connections that do not receive the message.
	Except []string
	// Delivery is the policy for slow consumers.
	Delivery frame.Delivery
}

// local is the lifetime of a hub without a backplane. With a backplane it would hold the
// connections of one process and send them the messages that the backplane delivers.
type local struct {
	members               // sessions with a handshake
	listeners members     // clients without a handshake, with ordered events in their streams
	history   *history    // nil: no events are kept
	recording atomic.Bool // a connection is a Recorder
}

// membersOf returns the members that a session belongs to.
func (l *local) membersOf(s *Session) *members {
	if s.caller.info.Listens {
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
		return s.groups.join(group, func() { l.membersOf(s).groups.add(group, s) })
	}
	return nil
}

func (l *local) Remove(_ context.Context, connectionID, group string) error {
	if s := l.find(connectionID); s != nil {
		s.groups.leave(group, func() { l.membersOf(s).groups.remove(group, s) })
	}
	return nil
}

func (l *local) Send(ctx context.Context, to audience, method string, args []any) error {
	m := message{method: method, args: args, delivery: to.Delivery, recorded: l.recording.Load()}
	if to.Kind == toConnections {
		return l.sendToConnections(ctx, to, &m)
	}
	if err := l.sendToListeners(to, &m); err != nil {
		return err
	}
	return l.send(to, &m)
}

// sendToListeners sends to listeners. With a history, messages are sent one at a time: a
// listener that reconnects reports its last event and gets the events with higher
// numbers.
func (l *local) sendToListeners(to audience, m *message) error {
	if l.history != nil {
		sent, err := l.history.keepEvent(to, m)
		if err != nil {
			return err
		}
		defer sent()
	}
	return l.listeners.send(to, m)
}

func (l *local) sendToConnections(ctx context.Context, to audience, m *message) error {
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
	id := "s" + strconv.FormatInt(s.hub.lastResultID.Add(1), 10)
	q := &pendingResult{session: s, id: id, decode: decode, done: make(chan struct{})}
	return q.ask(ctx, method, args)
}
