package connection

import (
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/carillon-go/carillon/internal/limit"
)

const (
	normalPerAddress   = 1000
	normalNegotiations = 100
	negotiationsBurst  = 10 * time.Second
)

// The reasons for which Admit and Create make no connection.
var (
	ErrFull    = errors.New("transports: there are as many connections as may be")
	ErrTooMany = errors.New("transports: the client has, or asks for, more connections than it may")
	ErrExpired = errors.New("transports: the credentials have expired")
)

// client is the user and address that a connection counts for. The registry's lock guards the
// counts.
type client struct {
	address netip.Addr // the zero Addr is not counted
	user    string
}

// connCounts counts connections, from their admission on: all, by user and by address. The
// registry's lock guards it.
type connCounts struct {
	all       int
	users     map[string]int
	addresses map[netip.Addr]int
	// budgets are those of negotiations, by the registry's age.
	budgets limit.Addresses
}

// admitLocked counts a client, unless the server shuts down or a limit refuses it.
func (r *Registry) admitLocked(n *Negotiation) error {
	l, c, who := &r.options.Limits, &r.counts, n.client()
	switch {
	case r.stopped:
		return ErrStopped
	case n.user != nil && n.user.Expired:
		return r.refuseExpired(n.address)
	case l.Connections > 0 && c.all >= l.Connections:
		return r.refuse(&r.refused.connections, "connections", ErrFull)
	case who.user != "" && l.ConnectionsPerUser > 0 && c.users[who.user] >= l.ConnectionsPerUser:
		return r.refuse(&r.refused.user, "connections of a user", ErrTooMany)
	}
	if perAddress, ok := ofAddress(l.ConnectionsPerAddress, normalPerAddress, who.address); ok && c.addresses[who.address] >= perAddress {
		return r.refuse(&r.refused.address, "connections of an address", ErrTooMany)
	}
	if rate, ok := ofAddress(l.NegotiationsPerAddress, normalNegotiations, who.address); ok && !c.budgets.Allow(who.address, rate, negotiationsBurst, n.since) {
		return r.refuse(&r.refused.negotiations, "negotiations of an address", ErrTooMany)
	}
	c.enter(who)
	return nil
}

// ofAddress returns the limit for an address, if one applies.
func ofAddress(configured, normal int, a netip.Addr) (n int, ok bool) {
	if configured == 0 {
		return normal, limit.IsPublic(a)
	}
	return configured, configured > 0 && a.IsValid()
}

// enter adds a client to the counts.
func (c *connCounts) enter(who client) {
	c.all++
	if who.user != "" {
		c.users[who.user]++
	}
	if who.address.IsValid() {
		c.addresses[who.address]++
	}
}

// leave removes a client from the counts.
func (c *connCounts) leave(who client) {
	c.all--
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

// RefuseNew answers a request for which Admit, Promise or Create made no connection.
func RefuseNew(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrTooMany):
		comeBack(w, http.StatusTooManyRequests)
	case errors.Is(err, ErrExpired):
		challenge(w, "The token expired")
	default:
		Unavailable(w)
	}
}

// Queued returns the number of queued bytes in all connections.
func (r *Registry) Queued() int { return int(r.queued.Load()) }
