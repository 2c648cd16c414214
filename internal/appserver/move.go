package appserver

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// Takeover says when the clients of an application server move to another one. A move is for
// applications that keep no state of a connection in memory: the connection begins anew there, and
// the client notices nothing.
type Takeover int

// The kinds of takeover.
const (
	Asked   Takeover = iota // as each server says when it connects
	Off                     // never: the clients reconnect
	Ordered                 // when a server says that it leaves
	Always                  // also when its connection is lost
)

// departure is the longest time that a server which leaves waits for its clients to move.
const departure = 20 * time.Second

// The headers by which servers learn of a move.
const (
	migrateFrom = "Asrs-Migrate-From"
	migrateTo   = "Asrs-Migrate-To"
)

// errLostText completes the invocations of a client whose server was lost.
const errLostText = "The application server was lost."

// level returns the ends of a server connection at which its clients move.
func (s *Servers) level(l *link) serviceprotocol.Migration {
	switch s.options.Takeover {
	case Off:
		return serviceprotocol.NeverMigrate
	case Ordered:
		return serviceprotocol.MigrateInOrder
	case Always:
		return serviceprotocol.MigrateAlways
	}
	return l.migrate
}

// movesAt reports whether the client moves at an end of a server connection.
func (c *client) movesAt(l *link, end serviceprotocol.Migration) bool {
	return c.tracker != nil && c.servers.level(l) >= end && c.tracker.isFollowed()
}

// depart moves the clients of a connection of a server that leaves, each when its invocations are
// completed. done is called when all have moved; those that have not after the time departure
// reconnect. Clients that cannot move stay until the server has ended. depart ends with ctx.
func (s *Servers) depart(ctx context.Context, l *link, done func()) {
	s.mu.Lock()
	l.departing = map[*client]struct{}{}
	for _, c := range l.clients {
		if c.movesAt(l, serviceprotocol.MigrateInOrder) {
			l.departing[c] = struct{}{}
		}
	}
	l.departed = done
	all := make([]*client, 0, len(l.departing))
	for c := range l.departing {
		all = append(all, c)
	}
	s.departedLocked(l, nil)
	s.mu.Unlock()
	for _, c := range all {
		if c.hold(l); c.tracker.isIdle() {
			s.move(c)
		}
	}
	timer := time.NewTimer(departure)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
		return
	case <-ctx.Done():
		return
	}
	s.mu.Lock()
	late := make([]*client, 0, len(l.departing))
	for c := range l.departing {
		late = append(late, c)
	}
	s.mu.Unlock()
	for _, c := range late { // they wait for a stream, for example
		c.relayed.Lose(errServerLost)
	}
}

// departedLocked notes that a client no longer keeps a server that leaves.
func (s *Servers) departedLocked(l *link, c *client) {
	delete(l.departing, c)
	if len(l.departing) == 0 && l.departed != nil {
		l.departed()
		l.departed = nil
	}
}

// hold holds what the client sends from now on, because its server leaves or was lost.
func (c *client) hold(l *link) {
	c.order.Lock()
	defer c.order.Unlock()
	if c.link == l && !c.holding {
		c.holding, c.from, c.since = true, l.server, time.Now()
	}
}

// idle moves a client of a server that leaves when its last invocation is completed.
func (s *Servers) idle(c *client) {
	c.order.Lock()
	holding := c.holding
	c.order.Unlock()
	if holding {
		s.move(c)
	}
}

// lost moves a client whose server connection was lost, and completes its invocations.
func (s *Servers) lost(c *client, l *link) {
	c.hold(l)
	for _, id := range c.tracker.abandon() {
		c.relayed.Send(c.tracker.protocol.AppendError(nil, id, errLostText))
	}
	s.move(c)
}

// move gives a client that is held another server, or has it wait for one.
func (s *Servers) move(c *client) {
	c.order.Lock()
	defer c.order.Unlock()
	if !c.holding || !c.tracker.isIdle() {
		return
	}
	id := c.relayed.ConnectionID()
	s.mu.Lock()
	if s.clients[id] != c {
		s.mu.Unlock()
		return
	}
	old := c.link
	next := s.successorLocked(c)
	c.link = next
	if old != nil {
		delete(old.clients, id)
		s.departedLocked(old, c)
	}
	if next != nil {
		next.clients[id] = c
		delete(s.homeless, c)
	} else if s.homeless[c] == nil {
		s.homeless[c] = time.AfterFunc(s.options.Hold, func() { c.relayed.Lose(errServerLost) })
	}
	s.mu.Unlock()
	if old != nil {
		c.tracker.abandon() // results that the server wants, which it drops
		_ = old.out.put(&serviceprotocol.Message{
			Type: serviceprotocol.CloseConnection, Connection: id,
			Headers: []serviceprotocol.Header{{Name: migrateTo, Values: []string{nameOf(next)}}},
		})
	}
	if next != nil {
		c.resume(next)
	}
}

// nameOf returns the id of the server to which a client moves.
func nameOf(l *link) string {
	if l == nil {
		return "unknown"
	}
	return l.server
}

// successorLocked returns the next server connection of a client, or nil. Another server comes first;
// the same one must have connected again.
func (s *Servers) successorLocked(c *client) *link {
	for _, isOther := range []bool{true, false} {
		l, err := s.chooseLocked(c.token, func(l *link) bool {
			return l != c.link && (l.server != c.from) == isOther && (isOther || l.began.After(c.since))
		})
		if err == nil {
			return l
		}
	}
	return nil
}

// resume opens the client at its next server, and passes on what was held. The caller holds order. If
// a put fails, the link has ended, and the client moves again.
func (c *client) resume(next *link) {
	opening := c.opening()
	opening.Headers = append(opening.Headers, serviceprotocol.Header{Name: migrateFrom, Values: []string{c.from}})
	c.moved.Store(c.answered.Load())
	_ = next.out.putWait(c.relayed.Context(), opening)
	_ = next.out.putWait(c.relayed.Context(), c.data(c.handshake))
	var passed []byte
	for _, r := range c.tracker.parse(c.held) {
		if c.tracker.passes(&r.message) {
			passed = append(passed, r.bytes...)
		}
	}
	if len(passed) > 0 {
		_ = next.out.putWait(c.relayed.Context(), c.data(passed))
	}
	c.held, c.holding = nil, false
	c.resumed.Open()
}

// adopt gives the clients that wait for a server to one that has connected.
func (s *Servers) adopt() {
	s.mu.Lock()
	all := make([]*client, 0, len(s.homeless))
	for c := range s.homeless {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		s.move(c)
	}
}
