package connection

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/limit"
	"github.com/carillon-go/carillon/transports"
)

const (
	normalPerAddress     = 1000
	normalNegotiations   = 100
	negotiationsBurst    = 10 * time.Second
	maxAddressesInMemory = 65_536
)

// The reasons for which Negotiate and Create make no connection.
var (
	ErrFull    = errors.New("transports: there are as many connections as may be")
	ErrTooMany = errors.New("transports: the client has, or asks for, more connections than it may")
)

// refusals holds the counts, which are changed without a lock.
type refusals struct {
	connections, user, address, negotiations, queue, sendTimeouts, heads, refreshes atomic.Uint64
}

// Refusals returns the counts.
func (r *Registry) Refusals() transports.Refusals {
	c := &r.refused
	return transports.Refusals{
		Connections: c.connections.Load(), User: c.user.Load(), Address: c.address.Load(), Negotiations: c.negotiations.Load(),
		Queue: c.queue.Load(), SendTimeouts: c.sendTimeouts.Load(), Heads: c.heads.Load(), Refreshes: c.refreshes.Load(),
	}
}

// client is the user and address that a connection counts for. The registry's lock guards the
// counts.
type client struct {
	address netip.Addr // the zero Addr is not counted
	user    string
}

// census counts connections by user and by address. The registry's lock guards it.
type census struct {
	users     map[string]int
	addresses map[netip.Addr]int
	// budgets are those of negotiations, by the registry's age.
	budgets map[netip.Addr]limit.Budget
}

func newCensus() census {
	return census{users: map[string]int{}, addresses: map[netip.Addr]int{}, budgets: map[netip.Addr]limit.Budget{}}
}

// admit counts a client, unless the server shuts down or a limit refuses it. The lock is
// held.
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
	if rate, ok := ofAddress(l.NegotiationsPerAddress, normalNegotiations, who.address); ok && !c.earned(who.address, rate, n.since) {
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

// ofAddress returns the limit for an address, if one applies.
func ofAddress(limit, normal int, a netip.Addr) (n int, ok bool) {
	if limit == 0 {
		return normal, a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
	}
	return limit, limit > 0 && a.IsValid()
}

// earned counts a negotiation of an address. It reports false if there were too many.
func (c *census) earned(a netip.Addr, perSecond int, now time.Duration) bool {
	b := c.budgets[a]
	if b.Wait(now, negotiationsBurst) > 0 {
		return false
	}
	if len(c.budgets) >= maxAddressesInMemory {
		c.forgetEarned(now)
	}
	b.Spend(now, time.Second/time.Duration(perSecond))
	c.budgets[a] = b
	return true
}

// forgetEarned drops the addresses whose budget has fully recovered. If that frees less than
// half of the table, it clears the table, so that the table is not scanned at every
// negotiation.
func (c *census) forgetEarned(now time.Duration) {
	maps.DeleteFunc(c.budgets, func(_ netip.Addr, b limit.Budget) bool { return b.Wait(now, 0) == 0 })
	if len(c.budgets) >= maxAddressesInMemory/2 {
		clear(c.budgets)
	}
}

// leave removes a client from the counts.
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

// refuse counts and logs a refusal.
func (r *Registry) refuse(count *atomic.Uint64, limit string, err error) error {
	n := count.Add(1)
	k := floodgate.Kind{Level: slog.LevelWarn, Event: "limit reached", Key: "limit", Value: limit, Burst: 1}
	r.gate.Log(k, func() []slog.Attr { return []slog.Attr{slog.Uint64("refused", n)} })
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

// account updates the connection's part of the registry's queued bytes. A frame that is sent
// at once changes nothing. The connection's lock is held.
func (c *Connection) account() {
	if d := c.queue.bytes - c.counted; d != 0 {
		c.counted = c.queue.bytes
		c.registry.queued.Add(int64(d))
	}
}

// Queued returns the number of queued bytes in all connections.
func (r *Registry) Queued() int { return int(r.queued.Load()) }

// Hold adds n bytes that the application keeps for the connection to the registry's queued
// bytes; a negative n subtracts. It reports whether the sum exceeds the limit. If so, an
// application that already keeps bytes for the connection must not keep more. With n = 0 it
// only checks, and counts a refusal.
func (c *Connection) Hold(n int) (full bool) {
	sum, limit := c.registry.queued.Add(int64(n)), int64(c.registry.options.Limits.QueueBytes)
	if limit <= 0 || sum <= limit {
		return false
	}
	if n == 0 { // only a check
		_ = c.registry.refuse(&c.registry.refused.queue, "queued bytes", nil)
	}
	return true
}

// Room returns the number of bytes that may be queued for the connection: MaxQueueBytes, or
// the free part of the limit of all connections together if that is smaller. So no number of
// slow readers takes everything: with n of them, a share of one in n+1 is left for each other
// connection.
func (c *Connection) Room() int {
	o := &c.registry.options
	if o.Limits.QueueBytes <= 0 {
		return o.MaxQueueBytes
	}
	free := int64(o.Limits.QueueBytes) - c.registry.queued.Load()
	return int(min(max(free, 0), int64(o.MaxQueueBytes)))
}

// roomForLocked returns Room. It counts a refusal if other connections leave too little room
// for n more bytes.
func (c *Connection) roomForLocked(n int) int {
	room := c.Room()
	if room < c.registry.options.MaxQueueBytes && room < c.queue.bytes+n {
		_ = c.registry.refuse(&c.registry.refused.queue, "queued bytes", nil)
	}
	return room
}
