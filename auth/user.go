// Package auth tells who makes a request. Whatever authenticates (a bearer
// token, a cookie, a session of the application's own) puts a User into the
// request's context; negotiate, the transports and the hub take it from there.
package auth

import (
	"context"
	"math"
	"time"
)

// User is an authenticated caller. It is not changed once it is in a context.
type User struct {
	// ID is what hub.Clients.User addresses: the name-identifier claim (sub)
	// unless the application chose another one.
	ID string
	// Claims are the token's, as decoded from JSON. May be nil.
	Claims map[string]any
	// Expires is when the authentication ends: the exp of a token. Zero: never.
	Expires time.Time
	// ClockSkew is for how long after Expires the credentials are still accepted. A
	// connection that begins in this time ends with it. Default 0.
	ClockSkew time.Duration

	latest time.Time // a bound of the end; zero: none
	ticket *Ticket
}

// End returns the end of the authentication for a connection that began at a time: it is
// Expires, or, for one that began later than that, Expires plus ClockSkew, and not after
// the bound of EndingBy. Zero: never. u may be nil.
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

// EndingBy returns u with an authentication that ends at latest at a time.
func (u *User) EndingBy(latest time.Time) *User {
	copied := *u
	copied.latest = latest
	return &copied
}

// Lifetime returns for how many whole seconds the authentication is still good, at most
// 2^31-1, as ASP.NET Core tells it. ok is false if it has no end, or has ended. u may be nil.
func (u *User) Lifetime() (seconds int64, ok bool) {
	left := time.Until(u.End(time.Time{}))
	if left <= 0 {
		return 0, false
	}
	return min(int64(left/time.Second), math.MaxInt32), true
}

// FresherThan reports whether the credentials of u expire later than those of the same
// user in old.
func (u *User) FresherThan(old *User) bool {
	if u == nil || old == nil || old.Expires.IsZero() {
		return false
	}
	return u.Expires.IsZero() || u.Expires.After(old.Expires)
}

// WithTicket returns u as it came in by a ticket.
func (u *User) WithTicket(t *Ticket) *User {
	copied := *u
	copied.ticket = t
	return &copied
}

// Ticket is the one that stood for the credentials; nil if none did.
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

// UserFrom returns the user that ctx carries, nil for an anonymous caller.
func UserFrom(ctx context.Context) *User {
	u, _ := ctx.Value(userKey{}).(*User)
	return u
}
