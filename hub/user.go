package hub

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/carillon-go/carillon/auth"
)

// ErrExpired is why a connection ends whose user's authentication has ended.
var ErrExpired = errors.New("hub: the authentication has expired")

// OnAuthenticationRefreshed sets what runs after a client has refreshed its credentials,
// once for each time: [Caller.User] has the new claims, the user's id and the groups are as
// before. It runs after OnConnected, concurrently with the client's invocations but not with
// itself, and never after OnDisconnected has begun. ctx carries the caller and ends with the
// connection. A panic is logged.
func (h *Hub) OnAuthenticationRefreshed(f func(ctx context.Context)) {
	h.registering()
	if h.onRefreshed != nil {
		panic("hub: OnAuthenticationRefreshed is set already")
	}
	h.onRefreshed = f
}

// userID is that of the beginning: nobody becomes another one.
func (s *Session) userID() string {
	if s.info.User == nil {
		return ""
	}
	return s.info.User.ID
}

// Refresh replaces the user by the same one with fresher credentials: claims and
// expiry count from now on. The id must be the same. It does not block. Safe for
// concurrent use.
func (s *Session) Refresh(u *auth.User) { s.user.Store(u) }

// Refreshed has OnAuthenticationRefreshed run: the client has refreshed its credentials. It
// does not wait for that. Before OnConnected begins it does nothing, for that sees the new
// credentials. Safe for concurrent use.
func (s *Session) Refreshed() {
	if s.hub.onRefreshed == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if phase := s.phase.Load(); phase != connecting && phase != open || s.tasks.closed {
		return
	}
	s.refreshed.waiting++
	s.startRefreshedLocked()
}

// refreshed counts the refreshes of which the application is to be told.
type refreshed struct {
	waiting int
	running bool
}

// startRefreshedLocked runs OnAuthenticationRefreshed, if it is to run and does not. It
// counts as an invocation that has given up its place: the end waits for it.
func (s *Session) startRefreshedLocked() {
	if f := &s.refreshed; f.running || f.waiting == 0 || !s.wasConnected.Load() || s.tasks.closed {
		return
	}
	s.refreshed.waiting--
	s.refreshed.running = true
	s.tasks.released++
	s.running.Add(1)
	go s.runOnRefreshed()
}

// runOnRefreshed ends with a panic of the application, and with runtime.Goexit.
func (s *Session) runOnRefreshed() {
	defer s.running.Done()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refreshed.running = false
		s.tasks.released--
		s.startRefreshedLocked()
		s.dispatchLocked()
	}()
	var err error
	defer func() {
		if err != nil {
			s.log(slog.LevelError, "ErrorDispatchingHubEvent", slog.Any("error", err))
		}
	}()
	defer s.recovered(&err)
	s.hub.onRefreshed(s.ctx)
}

// expired reports whether the session is to end with its user's authentication, and
// that has ended.
func (s *Session) expired(now time.Time) bool {
	if !s.info.CloseOnExpiry {
		return false
	}
	end := s.user.Load().End(s.begun)
	return !end.IsZero() && !now.Before(end)
}
