package connection

import (
	"errors"
	"log/slog"
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

// renew gives a connection the credentials of r if Refreshing.Allow agrees. Refreshes of a
// connection run one after the other. The wait for earlier ones, and for Allow, ends with the
// context of r. It returns the user that the connection has afterwards. It fails with
// ErrUserChanged if either side has no user id or the ids differ, with ErrRefused,
// ErrRefreshedOften or ErrEnded.
func (h *Handler) renew(r *http.Request, c *Connection) (*auth.User, error) {
	u, ctx := auth.UserFrom(r.Context()), r.Context()
	turn, err := c.credentials.beginRefresh(u, time.Since(h.registry.begun))
	if errors.Is(err, ErrRefreshedOften) {
		err = h.registry.refuse(&h.registry.refused.refreshes, "refreshes of a connection", err)
	}
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
	if h.registry.refreshing.Allow == nil {
		defer func() { <-turn }()
		return h.changeUser(c, u, h.registry.refreshing.bounded(u))
	}
	return h.askAndChange(r, c, u, turn)
}

// askAndChange changes the user if Allow agrees. Allow runs on a goroutine of its own, so
// that the wait for it can end, and runtime.Goexit ends only that goroutine.
func (h *Handler) askAndChange(r *http.Request, c *Connection, u *auth.User, turn <-chan struct{}) (*auth.User, error) {
	type outcome struct {
		user *auth.User
		err  error
	}
	ctx, decided := r.Context(), make(chan outcome, 1)
	r = r.WithContext(ctx)
	r.Body = http.NoBody // Allow may outlive the request
	h.registry.work.running.Go(func() {
		result := outcome{err: ErrRefused} // also of a panic and of runtime.Goexit
		defer func() {
			<-turn
			decided <- result
		}()
		bounded := h.registry.refreshing.bounded(u)
		if h.allows(r, c, bounded) && ctx.Err() == nil {
			result.user, result.err = h.changeUser(c, u, bounded)
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

// beginRefresh reports whether u may refresh the connection's credentials now, at an age of the
// registry. The running refresh holds turn.
func (c *credentials) beginRefresh(u *auth.User, age time.Duration) (turn chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, transports.ErrEnded
	case c.user == nil || u == nil || c.user.ID == "" || c.user.ID != u.ID:
		return nil, ErrUserChanged
	case u.Expired:
		return nil, ErrRefused
	}
	if c.refreshes == nil {
		c.refreshes = &refreshes{turn: make(chan struct{}, 1)}
	}
	if c.refreshes.budget.Wait(age, (refreshBurst-1)*refreshInterval) > 0 {
		return nil, ErrRefreshedOften
	}
	c.refreshes.budget.Spend(age, refreshInterval)
	return c.refreshes.turn, nil
}

// allows calls Allow. A panic refuses.
func (h *Handler) allows(r *http.Request, c *Connection, u *auth.User) (allowed bool) {
	defer func() {
		if p := recover(); p != nil {
			allowed = false
			h.registry.logPanic("connection", p, slog.String("connection_id", c.LogName()))
		}
	}()
	return h.registry.refreshing.Allow(&transports.Refresh{
		Request: r, ConnectionID: c.id, Previous: c.User(), User: u, Ends: u.End(time.Time{}),
	})
}

// changeUser changes the credentials, see credentials.replace.
func (h *Handler) changeUser(c *Connection, u, bounded *auth.User) (*auth.User, error) {
	now, refresher, err := c.credentials.replace(u, bounded)
	if refresher != nil && h.registry.refreshing.Enabled {
		refresher.Refreshed()
	}
	return now, err
}

// bounded returns u with the end that Max allows.
func (o *Refreshing) bounded(u *auth.User) *auth.User {
	if u != nil && o.Max > 0 {
		return u.EndingBy(time.Now().Add(o.Max))
	}
	return u
}
