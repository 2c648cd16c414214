package transports

import (
	"net/http"

	"github.com/carillon-go/carillon/auth"
)

// Refresher is a Receiver that is told of fresher credentials of its client. Refresh
// is called with the connection's lock held: it must not block or call back.
type Refresher interface {
	Receiver
	Refresh(u *auth.User)
}

// User is whose connection it is, as the freshest credentials describe them; nil for
// an anonymous client.
func (c *Connection) User() *auth.User {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}

// Bears tells whether the connection was negotiated with the ticket that a digest names.
func (c *Connection) Bears(digest string) bool {
	return c.ticket != nil && c.ticket.Digest() == digest
}

// HasToken tells whether the connection has a token that is not its id.
func (c *Connection) HasToken() bool { return c.token != c.id }

// Admits tells whether a request comes from the user whose connection it is. One
// that brings credentials which are good for longer prolongs the connection.
func (c *Connection) Admits(r *http.Request) bool {
	u := auth.UserFrom(r.Context())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.registry.options.AllowUserChange {
		return true
	}
	if !sameUser(c.user, u) {
		return false
	}
	if u != nil && !c.user.Expires.IsZero() && (u.Expires.IsZero() || u.Expires.After(c.user.Expires)) {
		c.refresh(u)
	}
	return true
}

// Refresh replaces the user by the same one with other credentials. It fails for
// another user.
func (c *Connection) Refresh(u *auth.User) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !sameUser(c.user, u) {
		return false
	}
	c.refresh(u)
	return true
}

// refresh needs the lock.
func (c *Connection) refresh(u *auth.User) {
	c.user = u
	if c.refresher != nil {
		c.refresher.Refresh(u)
	}
}

func sameUser(a, b *auth.User) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID
}
