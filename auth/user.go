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
	// Expires is when the authentication ends; zero: never.
	Expires time.Time

	ticket *Ticket
}

// Lifetime is for how many whole seconds the authentication is good yet; 0: for ever,
// or for less than one.
func (u *User) Lifetime() int {
	if u == nil || u.Expires.IsZero() {
		return 0
	}
	return int(min(max(0, time.Until(u.Expires)/time.Second), math.MaxInt))
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
