package hub

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/carillon-go/carillon/frame"
)

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

// local knows the connections of a process, their groups and their users, and sends to them.
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

// Add implements Groups.
func (l *local) Add(_ context.Context, connectionID, group string) error {
	if s := l.find(connectionID); s != nil {
		return s.groups.join(group, func() { l.membersOf(s).groups.add(group, s) })
	}
	return nil
}

// Remove implements Groups.
func (l *local) Remove(_ context.Context, connectionID, group string) error {
	if s := l.find(connectionID); s != nil {
		s.groups.leave(group, func() { l.membersOf(s).groups.remove(group, s) })
	}
	return nil
}

// disconnect ends connections, or the connections of users.
func (l *local) disconnect(who audience) {
	for _, name := range who.Names {
		if who.Kind == ofUsers {
			for _, s := range slices.Concat(l.users.snapshot(name), l.listeners.users.snapshot(name)) {
				s.abort()
			}
		} else if s := l.find(name); s != nil {
			s.abort()
		}
	}
}

// invoke invokes a method on an audience; see Sender.
func (l *local) invoke(ctx context.Context, to audience, method string, args []any) error {
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
	var passed seenNames
	var own *Session // of the caller, if the message is for it alone and must arrive
	if c := CallerFrom(ctx); c != nil && len(to.Names) == 1 && to.Delivery == (frame.Delivery{}) {
		own = c.session
	}
	except := newNameSet(to.Except)
	for i, id := range to.Names {
		s := l.find(id)
		if passed.isRepeated(to.Names, i) || s == nil {
			continue
		}
		if s == own {
			f, err := m.frame(s.out.wire)
			if err != nil {
				s.closeOnEncodeError(err, m.method)
				return err
			}
			if m.recorded {
				s.out.record(m.method, m.args)
			}
			return s.out.sendWait(ctx, f)
		}
		if err := fanOut([]*Session{s}, except, m); err != nil {
			return err
		}
	}
	return nil
}

// ask invokes a method on one connection and waits for its result, which it passes to decode
// undecoded. If ask fails, decode may still be running.
func (l *local) ask(ctx context.Context, connectionID, method string, args []any, decode decoder) error {
	s := l.find(connectionID)
	if s == nil {
		return noSuchConnection(connectionID)
	}
	id := "s" + strconv.FormatInt(s.hub.lastResultID.Add(1), 10)
	q := &pendingResult{session: s, id: id, decode: decode, done: make(chan struct{})}
	return q.ask(ctx, method, args)
}

// members are sessions by id, group and user.
type members struct {
	connections connections
	groups      directory
	users       directory
}

func (m *members) add(s *Session) {
	m.connections.add(s)
	if id := s.caller.UserID(); id != "" {
		m.users.add(id, s)
	}
}

func (m *members) remove(s *Session) {
	m.connections.remove(s)
	if id := s.caller.UserID(); id != "" {
		m.users.remove(id, s)
	}
	for _, g := range s.groups.leaveAll() {
		m.groups.remove(g, s)
	}
}

// send sends to an audience of a kind other than Connections.
func (m *members) send(to audience, what *message) error {
	switch to.Kind {
	case inGroups:
		return m.groups.send(to, what)
	case ofUsers:
		return m.users.send(to, what)
	default:
		return fanOut(m.connections.snapshot(), newNameSet(to.Except), what)
	}
}

func (d *directory) send(to audience, what *message) error {
	var passed seenNames
	except := newNameSet(to.Except)
	for i, name := range to.Names {
		if passed.isRepeated(to.Names, i) {
			continue
		}
		if err := fanOut(d.snapshot(name), except, what); err != nil {
			return err
		}
	}
	return nil
}
