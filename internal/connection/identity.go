package connection

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"sync"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

// identity is the owner of a connection. Only its credentials change.
type identity struct {
	id, token   string
	ticket      *auth.Ticket // the ticket that authenticated the negotiation; nil: none
	origin      string
	client      client
	credentials credentials
}

// ID implements transports.Connection.
func (i *identity) ID() string { return i.id }

// Token returns the secret that opens the connection, for the answer to a negotiation.
func (i *identity) Token() string { return i.token }

// HasToken reports whether the connection has a token that differs from its id.
func (i *identity) HasToken() bool { return i.token != i.id }

// LogName implements transports.Connection.
func (i *identity) LogName() string { return logName(i.id, i.HasToken()) }

func logName(id string, hasToken bool) string {
	if hasToken {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:8])
}

// Origin returns the origin of the page that negotiated, if a proxy has changed the host so
// much that the page looks like another site's, else "". It is "" for a nil connection.
func (c *Connection) Origin() string {
	if c == nil {
		return ""
	}
	return c.origin
}

// HasTicket reports whether the connection was negotiated with the ticket that has the
// digest.
func (i *identity) HasTicket(digest string) bool {
	return hasTicket(i.ticket, digest)
}

func hasTicket(t *auth.Ticket, digest string) bool { return t != nil && t.Digest() == digest }

// User implements transports.Connection.
func (i *identity) User() *auth.User {
	i.credentials.mu.Lock()
	defer i.credentials.mu.Unlock()
	return i.credentials.user
}

// authorizes reports whether a request has the connection's user.
func (i *identity) authorizes(r *http.Request) bool {
	return sameUser(i.User(), auth.UserFrom(r.Context()))
}

// sameUser reports whether two users have the same id, or are both anonymous.
func sameUser(a, b *auth.User) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID
}

// credentials holds the user that the requests of a connection must have.
type credentials struct {
	mu        sync.Mutex
	user      *auth.User
	refresher transports.Refresher // receives fresher credentials; nil: none
	refreshes *refreshes           // nil: there was no refresh
	closed    bool                 // the connection closes: the credentials no longer change
}

// setRefresher passes the user to a receiver, and its later credentials, if it needs them.
func (c *credentials) setRefresher(r transports.Receiver) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refresher, _ = r.(transports.Refresher); c.refresher != nil {
		c.refresher.Refresh(c.user) // a refresh may have happened during Connect
	}
}

func (c *credentials) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// replace is the only function that changes the user of a connection. u is the user of the
// request, bounded the same user with the limit of Refreshing.Max. Credentials that the
// connection already has, such as those of a ticket, change nothing. replace returns the user
// afterwards, and the receiver that got it, if there is one.
func (c *credentials) replace(u, bounded *auth.User) (*auth.User, transports.Refresher, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, transports.ErrEnded
	}
	if u == c.user {
		return u, nil, nil
	}
	c.user = bounded
	if c.refresher != nil {
		c.refresher.Refresh(bounded)
	}
	return bounded, c.refresher, nil
}
