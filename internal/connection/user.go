package connection

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

// The reasons for which a refresh is refused.
var (
	ErrUserChanged    = errors.New("transports: the credentials are not those of the connection's user")
	ErrRefused        = errors.New("transports: the application refuses the credentials")
	ErrRefreshedOften = errors.New("transports: the connection's credentials are refreshed too often")
)

// User returns the connection's user with the freshest credentials, or nil for an anonymous
// client.
func (c *Connection) User() *auth.User {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.user
}

// Bears reports whether the connection was negotiated with the ticket that has the digest.
func (c *Connection) Bears(digest string) bool {
	return c.ticket != nil && c.ticket.Digest() == digest
}

// HasToken reports whether the connection has a token that differs from its id.
func (c *Connection) HasToken() bool { return c.token != c.id }

// LogName returns a name of the connection for logs: its id, or a hash of the id if the id
// itself opens the connection, as with version 0 of negotiation and without negotiation.
func (c *Connection) LogName() string {
	if c.HasToken() {
		return c.id
	}
	sum := sha256.Sum256([]byte(c.id))
	return "sha256:" + hex.EncodeToString(sum[:8])
}

// Admits reports whether a request has the connection's user.
func (c *Connection) Admits(r *http.Request) bool {
	return sameUser(c.User(), auth.UserFrom(r.Context()))
}

// sameUser reports whether two users have the same id, or are both anonymous.
func sameUser(a, b *auth.User) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID
}

// Refresh gives the connection the credentials of r if Refreshing.Allow agrees. Refreshes of
// a connection run one after the other. The wait for earlier ones, and for Allow, ends with
// the context of r. Refresh returns the user that the connection has afterwards. It fails
// with ErrUserChanged if either side has no user id or the ids differ, with ErrRefused,
// ErrRefreshedOften or ErrEnded, or with the cause of the context.
func (c *Connection) Refresh(r *http.Request) (*auth.User, error) {
	u, ctx := auth.UserFrom(r.Context()), r.Context()
	turn, err := c.beginRefresh(u, time.Now())
	if err != nil {
		return nil, err
	}
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ErrRefused
	case <-c.ctx.Done():
		return nil, transports.ErrEnded
	}
	if c.registry.refreshing.Allow == nil {
		defer func() { <-turn }()
		return c.changeUser(u, c.registry.bounded(u))
	}
	return c.askAndChange(r, u, turn)
}

// askAndChange changes the user if Allow agrees. Allow runs on a goroutine of its own, so
// that the wait for it can end, and runtime.Goexit ends only that goroutine.
func (c *Connection) askAndChange(r *http.Request, u *auth.User, turn <-chan struct{}) (*auth.User, error) {
	type outcome struct {
		user *auth.User
		err  error
	}
	ctx, decided := r.Context(), make(chan outcome, 1)
	r = r.WithContext(ctx)
	r.Body = http.NoBody // Allow may outlive the request
	c.registry.running.Go(func() {
		result := outcome{err: ErrRefused} // also of a panic and of runtime.Goexit
		defer func() {
			<-turn
			decided <- result
		}()
		bounded := c.registry.bounded(u)
		if c.allows(r, bounded) && ctx.Err() == nil {
			result.user, result.err = c.changeUser(u, bounded)
		}
	})
	select {
	case result := <-decided:
		return result.user, result.err
	case <-ctx.Done():
		return nil, ErrRefused
	case <-c.ctx.Done():
		return nil, transports.ErrEnded
	}
}

// beginRefresh reports whether u may refresh the connection's credentials now. The running
// refresh holds turn.
func (c *Connection) beginRefresh(u *auth.User, now time.Time) (turn chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state >= closing || c.ctx.Err() != nil:
		return nil, transports.ErrEnded
	case c.user == nil || u == nil || c.user.ID == "" || c.user.ID != u.ID:
		return nil, ErrUserChanged
	}
	if c.refreshes == nil {
		c.refreshes = &refreshes{turn: make(chan struct{}, 1)}
	}
	age := now.Sub(c.registry.begun)
	if c.refreshes.budget.Wait(age, (refreshBurst-1)*refreshInterval) > 0 {
		return nil, c.registry.refuse(&c.registry.refused.refreshes, "refreshes of a connection", ErrRefreshedOften)
	}
	c.refreshes.budget.Spend(age, refreshInterval)
	return c.refreshes.turn, nil
}

// allows calls Allow. A panic refuses.
func (c *Connection) allows(r *http.Request, u *auth.User) (allowed bool) {
	defer func() {
		if p := recover(); p != nil {
			allowed = false
			c.logPanic(p)
		}
	}()
	return c.registry.refreshing.Allow(&transports.Refresh{
		Request: r, ConnectionID: c.id, Previous: c.User(), User: u, Ends: u.End(time.Time{}),
	})
}

// changeUser is the only function that changes the user of a connection. u is the user of the
// request, bounded the same user with the limit of Refreshing.Max. Credentials that the
// connection already has, such as those of a ticket, change nothing.
func (c *Connection) changeUser(u, bounded *auth.User) (*auth.User, error) {
	c.mu.Lock()
	if c.state >= closing || c.ctx.Err() != nil {
		c.mu.Unlock()
		return nil, transports.ErrEnded
	}
	if u == c.user {
		c.mu.Unlock()
		return u, nil
	}
	c.user = bounded
	refresher := c.refresher
	if refresher != nil {
		refresher.Refresh(bounded)
	}
	c.mu.Unlock()
	if refresher != nil && c.registry.refreshing.Enabled {
		refresher.Refreshed()
	}
	return bounded, nil
}

// bounded returns u with the end that Refreshing.Max allows.
func (r *Registry) bounded(u *auth.User) *auth.User {
	if longest := r.refreshing.Max; u != nil && longest > 0 {
		return u.EndingBy(time.Now().Add(longest))
	}
	return u
}
