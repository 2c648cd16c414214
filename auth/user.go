// Package auth identifies the users of requests. An authenticator (for a bearer token, a
// cookie, or the application's own sessions) puts a User into the request's context.
// Negotiation, transports and hub read it from there. A Policy allows or refuses a user.
package auth

import (
	"context"
	"math"
	"time"
)

// User is an authenticated caller. It must not be changed after it has been put into a
// context.
type User struct {
	// ID is the user's id for hub.Clients.User: the name-identifier claim (sub) unless the
	// application chose another one.
	ID string
	// Claims are the token's claims, as decoded from JSON. May be nil.
	Claims map[string]any
	// Expires is the end of the authentication: the exp of a token. Zero: never.
	Expires time.Time
	// ClockSkew is the time after Expires in which the credentials are still accepted. A
	// connection that begins in this time closes at its end. Default 0.
	ClockSkew time.Duration
	// Expired says that the credentials have expired, but still serve the requests of a
	// connection that is open. A negotiation with them, and a request that opens a connection, is
	// answered 401. Default false.
	Expired bool

	latest time.Time // an upper limit of the end; zero: none
	ticket *Ticket
}

// End returns the end of the authentication for a connection that began at the time begun. It
// is Expires or, if the connection began later, Expires plus ClockSkew. It is never later
// than the limit of EndingBy. Zero: never. u may be nil.
func (u *User) End(begun time.Time) time.Time {
	if u == nil {
		return time.Time{}
	}
	end := u.Expires
	if !end.IsZero() && !begun.Before(end) {
		end = end.Add(u.ClockSkew)
	}
	if !u.latest.IsZero() && (end.IsZero() || end.After(u.latest)) {
		end = u.latest
	}
	return end
}

// EndingBy returns a copy of u with an authentication that ends at latest or earlier.
func (u *User) EndingBy(latest time.Time) *User {
	copied := *u
	copied.latest = latest
	return &copied
}

// Lifetime returns the remaining time of the authentication in whole seconds, at most 2^31-1,
// as ASP.NET Core sends it. ok is false if the authentication has no end or has ended. u may
// be nil.
func (u *User) Lifetime() (seconds int64, ok bool) {
	left := time.Until(u.End(time.Time{}))
	if left <= 0 {
		return 0, false
	}
	return min(int64(left/time.Second), math.MaxInt32), true
}

// FresherThan reports whether the credentials of u expire later than those of old, which
// belong to the same user.
func (u *User) FresherThan(old *User) bool {
	if u == nil || old == nil || old.Expires.IsZero() {
		return false
	}
	return u.Expires.IsZero() || u.Expires.After(old.Expires)
}

// WithTicket returns a copy of u that was authenticated by a ticket.
func (u *User) WithTicket(t *Ticket) *User {
	copied := *u
	copied.ticket = t
	return &copied
}

// Ticket returns the ticket that replaced the credentials, or nil if there is none.
func (u *User) Ticket() *Ticket {
	if u == nil {
		return nil
	}
	return u.ticket
}

type userKey struct{}

// WithUser returns a context that carries u.
func WithUser(ctx context.Context, u *User) context.Context {
	return context.WithValue(ctx, userKey{}, u)
}

// UserFrom returns the user that ctx carries, or nil for an anonymous caller.
func UserFrom(ctx context.Context) *User {
	u, _ := ctx.Value(userKey{}).(*User)
	return u
}
