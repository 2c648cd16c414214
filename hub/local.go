package hub

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/carillon-go/carillon/frame"
)

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

// join adds a session to a group. It reports whether the session was not in it before.
func (l *local) join(s *Session, group string) (joined bool, err error) {
	return s.groups.join(group, func() { l.membersOf(s).groups.add(group, s) })
}

// leave removes a session from a group. It reports whether the session was in it.
func (l *local) leave(s *Session, group string) bool {
	return s.groups.leave(group, func() { l.membersOf(s).groups.remove(group, s) })
}

// end ends the connections of an audience. missing are the names that other processes may
// have connections of: of groups and users, all.
func (l *local) end(c Command) (missing []string) {
	missing = c.To.Names
	if c.To.Kind == ToConnections {
		missing = l.elsewhere(missing)
	}
	for s := range l.in(context.Background(), c.To) {
		s.close(ErrAborted, c.Reason, c.AllowReconnect)
	}
	return missing
}

// elsewhere returns the ids of connections that this process does not have.
func (l *local) elsewhere(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return l.find(id) != nil })
}

// send sends a message to an audience; see Sender.
func (l *local) send(ctx context.Context, to Audience, m *message) error {
	if to.Kind == ToConnections {
		return l.sendToConnections(ctx, to, m)
	}
	if err := l.sendToListeners(to, m); err != nil {
		return err
	}
	return l.members.send(to, m)
}

// sendToListeners sends to listeners. With a history, messages are sent one at a time: a
// listener that reconnects reports its last event and gets the events with higher
// numbers.
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
	var passed seenNames
	var own *Session // of the caller, if the message is for it alone and must arrive
	if c := CallerFrom(ctx); c != nil && len(to.Names) == 1 && m.delivery == (frame.Delivery{}) {
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

// remove removes a session and returns the groups that it was in.
func (m *members) remove(s *Session) (groups []string) {
	m.connections.remove(s)
	if id := s.caller.UserID(); id != "" {
		m.users.remove(id, s)
	}
	groups = s.groups.leaveAll()
	for _, g := range groups {
		m.groups.remove(g, s)
	}
	return groups
}

// send sends to an audience of a kind other than Connections.
func (m *members) send(to Audience, what *message) error {
	switch to.Kind {
	case InGroups:
		return m.groups.send(to, what)
	case OfUsers:
		return m.users.send(to, what)
	default:
		return fanOut(m.connections.snapshot(), newNameSet(to.Except), what)
	}
}

func (d *directory) send(to Audience, what *message) error {
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
