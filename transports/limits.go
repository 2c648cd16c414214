package transports

import (
	"errors"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// Limits are how much clients may take of an endpoint. For each zero means the default
// and a negative number that there is no limit. Who is over one is refused, or loses its
// connection; nobody else notices.
type Limits struct {
	// Connections in all, negotiated ones included. Default 100,000. Beyond: 503.
	Connections int
	// ConnectionsPerUser of one user ID. Default 1,000. Beyond: 429.
	ConnectionsPerUser int
	// ConnectionsPerAddress of one client address (of IPv6 one /64). Default 1,000, but
	// not for private and loopback addresses: a proxy's, as long as nobody says who is
	// behind it. Beyond: 429.
	ConnectionsPerAddress int
	// NegotiationsPerAddress in a second, ten times as many in a burst. Default 100, but
	// not for private addresses. Beyond: 429.
	NegotiationsPerAddress int
	// QueueBytes that wait for slow readers in all connections together, and that hubs keep for
	// their clients: messages that are not acknowledged, items of uploads, results that are
	// awaited. Default 256 MiB. A connection that has something waiting may have no more than
	// is still free of it: the fuller it is, the shorter is the queue for which a connection
	// counts as a slow reader. A message that waits for many connections counts for each.
	QueueBytes int
	// HeadBytes that connections keep together of the requests that opened them, see
	// Connection.Request. Default 4 KiB for each of Connections, or none
	// where those have no limit. Beyond: 503.
	HeadBytes int
}

// Unlimited are no limits at all.
func Unlimited() Limits {
	return Limits{Connections: -1, ConnectionsPerUser: -1, ConnectionsPerAddress: -1, NegotiationsPerAddress: -1, QueueBytes: -1, HeadBytes: -1}
}

const (
	normalPerAddress     = 1000
	normalNegotiations   = 100
	negotiationsBurst    = 10 // seconds
	normalHeadBytes      = 4 << 10
	maxAddressesInMemory = 65_536
)

// Why Negotiate and Create make no connection.
var (
	ErrFull    = errors.New("transports: there are as many connections as may be")
	ErrTooMany = errors.New("transports: the client has, or asks for, more connections than it may")
)

// Refusals counts since the start what the limits did: connections refused because of
// their number in all, of a user, of an address, or of negotiations; frames for which all
// queues together had no room; connections whose client did not read within SendTimeout;
// requests whose head was too long, or for whose head all connections had no room;
// refreshes of connections that had too many.
type Refusals struct {
	Connections, User, Address, Negotiations, Queue, SendTimeouts, Heads, Refreshes uint64
}

// refusals are counted without a lock.
type refusals struct {
	connections, user, address, negotiations, queue, sendTimeouts, heads, refreshes atomic.Uint64
}

// Refusals returns the counts.
func (r *Registry) Refusals() Refusals {
	c := &r.refused
	return Refusals{
		Connections: c.connections.Load(), User: c.user.Load(), Address: c.address.Load(), Negotiations: c.negotiations.Load(),
		Queue: c.queue.Load(), SendTimeouts: c.sendTimeouts.Load(), Heads: c.heads.Load(), Refreshes: c.refreshes.Load(),
	}
}

// client is whom a connection is counted for. The registry's lock guards the counts.
type client struct {
	address netip.Addr // the zero one is not counted
	user    string
}

// census counts connections by who has them. The registry's lock guards it.
type census struct {
	users     map[string]int
	addresses map[netip.Addr]int
	// next is when an address that negotiates too often has earned its next one.
	next map[netip.Addr]time.Time
}

func newCensus() census {
	return census{users: map[string]int{}, addresses: map[netip.Addr]int{}, next: map[netip.Addr]time.Time{}}
}

// admit counts a client, unless the server shuts down or a limit refuses it. The lock is held.
func (r *Registry) admit(n *Negotiation) error {
	l, c, who := &r.options.Limits, &r.census, n.client()
	switch {
	case r.stopped:
		return ErrStopped
	case l.Connections > 0 && r.len() >= l.Connections:
		return r.refuse(&r.refused.connections, "connections", ErrFull)
	case who.user != "" && l.ConnectionsPerUser > 0 && c.users[who.user] >= l.ConnectionsPerUser:
		return r.refuse(&r.refused.user, "connections of a user", ErrTooMany)
	}
	if perAddress, ok := ofAddress(l.ConnectionsPerAddress, normalPerAddress, who.address); ok && c.addresses[who.address] >= perAddress {
		return r.refuse(&r.refused.address, "connections of an address", ErrTooMany)
	}
	if rate, ok := ofAddress(l.NegotiationsPerAddress, normalNegotiations, who.address); ok && !c.earned(who.address, rate, r.begun.Add(n.since)) {
		return r.refuse(&r.refused.negotiations, "negotiations of an address", ErrTooMany)
	}
	if who.user != "" {
		c.users[who.user]++
	}
	if who.address.IsValid() {
		c.addresses[who.address]++
	}
	return nil
}

// ofAddress is the limit that holds for an address, if one does.
func ofAddress(limit, normal int, a netip.Addr) (n int, ok bool) {
	if limit == 0 {
		return normal, a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
	}
	return limit, limit > 0 && a.IsValid()
}

// earned tells whether an address may negotiate once more.
func (c *census) earned(a netip.Addr, perSecond int, now time.Time) bool {
	next := c.next[a]
	if next.Before(now) {
		next = now
	}
	if next.Sub(now) > negotiationsBurst*time.Second {
		return false
	}
	if len(c.next) >= maxAddressesInMemory {
		c.forgetEarned(now)
	}
	c.next[a] = next.Add(time.Second / time.Duration(perSecond))
	return true
}

// forgetEarned makes room: an address that has earned everything back is as a new one, and
// if that does not free half all are: the next look at the whole table is far away.
func (c *census) forgetEarned(now time.Time) {
	for a, next := range c.next {
		if next.Before(now) {
			delete(c.next, a)
		}
	}
	if len(c.next) >= maxAddressesInMemory/2 {
		clear(c.next)
	}
}

// leave takes a client out of the counts.
func (c *census) leave(who client) {
	countDown(c.users, who.user)
	countDown(c.addresses, who.address)
}

func countDown[K comparable](counts map[K]int, key K) {
	if counts[key] > 1 {
		counts[key]--
		return
	}
	delete(counts, key)
}

// refuse counts, and logs the first of a second.
func (r *Registry) refuse(count *atomic.Uint64, limit string, err error) error {
	n := count.Add(1)
	if now := time.Now().Unix(); r.logged.Swap(now) != now {
		r.options.Logger.Warn("a limit refuses clients", "limit", limit, "refused", n)
	}
	return err
}

// RefuseNew answers a request for which Negotiate or Create made no connection.
func RefuseNew(w http.ResponseWriter, err error) {
	if errors.Is(err, ErrTooMany) {
		comeBack(w, http.StatusTooManyRequests)
		return
	}
	Unavailable(w)
}

// account tells the registry how much of the connection waits. The connection's lock is
// held. What is sent at once changes nothing.
func (c *Connection) account() {
	if d := c.queue.bytes - c.counted; d != 0 {
		c.counted = c.queue.bytes
		c.registry.queued.Add(int64(d))
	}
}

// Queued is how many bytes wait to be sent, in all connections.
func (r *Registry) Queued() int { return int(r.queued.Load()) }

// Hold counts n bytes more that the application keeps for the connection, or fewer if n is
// negative, in what waits in all connections. It reports whether that is more than may be:
// then an application that keeps something for the connection already must not keep more.
func (c *Connection) Hold(n int) (full bool) {
	sum, limit := c.registry.queued.Add(int64(n)), int64(c.registry.options.Limits.QueueBytes)
	if limit <= 0 || sum <= limit {
		return false
	}
	if n == 0 { // it asks whether it may
		_ = c.registry.refuse(&c.registry.refused.queue, "queued bytes", nil)
	}
	return true
}

// Room returns how many bytes may wait for the connection: MaxQueueBytes, or as many as all
// connections together may still have, if those are fewer. So no number of slow readers takes
// everything: with n of them a share of one in n+1 is left for each of the others.
func (c *Connection) Room() int {
	o := &c.registry.options
	if o.Limits.QueueBytes <= 0 {
		return o.MaxQueueBytes
	}
	free := int64(o.Limits.QueueBytes) - c.registry.queued.Load()
	return int(min(max(free, 0), int64(o.MaxQueueBytes)))
}

// roomForLocked returns Room, and counts a refusal if other connections leave too little of it
// for n bytes more.
func (c *Connection) roomForLocked(n int) int {
	room := c.Room()
	if room < c.registry.options.MaxQueueBytes && room < c.queue.bytes+n {
		_ = c.registry.refuse(&c.registry.refused.queue, "queued bytes", nil)
	}
	return room
}
