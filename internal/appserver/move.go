package appserver

import (
	"maps"
	"slices"
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

// departTime is the longest time that a server which leaves waits for its clients to move.
const departTime = 20 * time.Second

// The headers by which servers learn of a move.
const (
	migrateFrom = "Asrs-Migrate-From"
	migrateTo   = "Asrs-Migrate-To"
)

// errLostText completes the invocations of a client after the loss of its server.
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

// departure is the orderly end of a server. It is guarded by servers.mu.
type departure struct {
	open     int      // connections of the server with clients that still move
	finished []func() // called when open is 0
}

// leave begins the orderly end of the server, which says so again every few seconds: it gets no new
// clients. With fin:0 it ends when it gets finack, and with others when its clients have left. An
// application that has mapped a hub several times has further connections, which say nothing.
func (l *link) leave(key, fin string) {
	finack := func() {
		_ = l.out.put(&serviceprotocol.Message{Type: serviceprotocol.Ping, Pairs: []string{key, "finack"}})
	}
	s := l.servers
	moves := s.level(l) > serviceprotocol.NeverMigrate
	s.mu.Lock()
	d := s.departures[l.server]
	var all []*link
	if d == nil {
		d = &departure{}
		s.departures[l.server] = d
		for _, other := range s.links {
			if other.server == l.server {
				other.leaving.Store(true)
				all = append(all, other)
			}
		}
		if moves {
			d.open = len(all)
		}
	}
	switch {
	case d.open == 0 || fin != "fin:0":
		defer finack()
	case !l.told:
		d.finished = append(d.finished, finack)
	}
	l.told = true
	s.mu.Unlock()
	if moves {
		for _, other := range all {
			l.tasks.Go(func() { s.depart(other, d) })
		}
	}
}

// depart moves the clients of a connection of a server that leaves, each when its invocations are
// completed. Those that have not moved after departTime reconnect. Clients that cannot move stay until
// the server has ended. depart ends with the connection.
func (s *Servers) depart(l *link, d *departure) {
	s.mu.Lock()
	l.departing = map[*client]struct{}{}
	for _, c := range l.clients {
		if c.movesAt(l, serviceprotocol.MigrateInOrder) {
			l.departing[c] = struct{}{}
		}
	}
	l.departed = func() {
		if d.open--; d.open == 0 {
			for _, finished := range d.finished {
				finished()
			}
		}
	}
	all := slices.Collect(maps.Keys(l.departing))
	s.departedLocked(l, nil)
	s.mu.Unlock()
	for _, c := range all {
		if c.hold(l); c.tracker.isIdle() {
			s.move(c)
		}
	}
	timer := time.NewTimer(departTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
		return
	}
	s.mu.Lock()
	late := slices.Collect(maps.Keys(l.departing))
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

// hold holds the data of the client from now on, because its server leaves or was lost.
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

// lost moves a client after the loss of its server connection, and completes its invocations.
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
	if !c.tracker.isFollowed() {
		c.relayed.Lose(errServerLost)
		return
	}
	s.mu.Lock()
	if s.clients[c.relayed.ConnectionID()] != c {
		s.mu.Unlock()
		return
	}
	old := c.link
	next := s.successorLocked(c)
	s.giveLocked(c, next)
	questions := s.unansweredLocked(c)
	s.mu.Unlock()
	for _, q := range questions {
		q.fail(disconnectedText)
	}
	if old != nil {
		c.tracker.abandon() // results that the server wants, which it drops
		_ = old.out.put(&serviceprotocol.Message{
			Type: serviceprotocol.CloseConnection, Connection: c.relayed.ConnectionID(),
			Headers: []serviceprotocol.Header{{Name: migrateTo, Values: []string{nameOf(next)}}},
		})
		s.mu.Lock()
		s.departedLocked(old, c)
		s.mu.Unlock()
	}
	if next != nil {
		c.resume(next)
	}
}

// giveLocked makes a client one of a server connection, or one that waits for a server if that is nil.
func (s *Servers) giveLocked(c *client, next *link) {
	id := c.relayed.ConnectionID()
	if old := c.link; old != nil {
		delete(old.clients, id)
	}
	c.link = next
	switch timer := s.homeless[c]; {
	case next != nil:
		next.clients[id] = c
		s.moves++
		s.endWaitLocked(c)
	case timer == nil:
		s.homeless[c] = time.AfterFunc(s.options.Hold, func() { s.giveUp(c) })
	}
}

// endWaitLocked notes that a client no longer waits for a server.
func (s *Servers) endWaitLocked(c *client) {
	if timer := s.homeless[c]; timer != nil {
		timer.Stop()
		delete(s.homeless, c)
	}
}

// giveUp ends the connection of a client that has waited too long for a server.
func (s *Servers) giveUp(c *client) {
	s.mu.Lock()
	_, waits := s.homeless[c]
	s.mu.Unlock()
	if waits {
		c.relayed.Lose(errServerLost)
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

// resume opens the client at its next server, and passes on the held data. The caller holds order. If
// a put fails, the link has ended, and the client moves again.
func (c *client) resume(next *link) {
	opening := c.introduction()
	opening.Headers = append(opening.Headers, serviceprotocol.Header{Name: migrateFrom, Values: []string{c.from}})
	c.moved.Store(c.answered.Load())
	_ = next.out.put(opening)
	_ = next.out.put(c.data(c.handshake))
	var passed []byte
	for _, r := range c.tracker.parse(c.held) {
		if c.tracker.passes(&r.message) {
			passed = append(passed, r.bytes...)
		}
	}
	if len(passed) > 0 {
		_ = next.out.put(c.data(passed))
	}
	c.held, c.holding = nil, false
	c.resumed.Open()
}

// adopt gives the clients that wait for a server to a connection, when it is new and each time that it
// has room again, until it ends.
func (s *Servers) adopt(l *link) {
	for {
		s.mu.Lock()
		s.arrived.Open()
		all := slices.Collect(maps.Keys(s.homeless))
		s.mu.Unlock()
		for _, c := range all {
			if !l.waitForRoom() {
				return
			}
			s.move(c)
		}
		select {
		case <-l.passedOver:
		case <-l.ctx.Done():
			return
		}
		if !l.waitForRoom() {
			return
		}
	}
}

// waitForRoom waits until the connection may get clients, as far as its queue is concerned. It returns
// false when the connection has ended.
func (l *link) waitForRoom() bool {
	for full := l.out.full(); full != nil; full = l.out.full() {
		select {
		case <-full:
		case <-l.ctx.Done():
		}
		if l.ctx.Err() != nil {
			return false
		}
	}
	return l.ctx.Err() == nil
}
