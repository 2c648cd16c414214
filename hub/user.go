package hub

import (
	"context"
	"errors"
	"sync"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/guard"
)

// ErrExpired is the cause of a connection's end when its user's authentication has
// expired.
var ErrExpired = errors.New("hub: the authentication has expired")

// OnAuthenticationRefreshed sets the function that runs each time after a client has
// refreshed its credentials. [Caller.User] then has the new claims; the user's id and the
// groups stay the same. The function runs after OnConnected, concurrently with the
// client's invocations but not with itself, and never after OnDisconnected has begun. ctx
// carries the caller and ends with the connection. A panic is logged.
// OnAuthenticationRefreshed panics if it was called before, and after the first
// connection.
func (h *Hub) OnAuthenticationRefreshed(f func(ctx context.Context)) {
	h.registering()
	if h.onRefreshed != nil {
		panic("hub: OnAuthenticationRefreshed is set already")
	}
	h.onRefreshed = f
}

// Refresh replaces the user by one with the same id and fresher credentials. Its claims
// and expiry apply from now on. Refresh does not block. It is safe for concurrent use.
func (s *Session) Refresh(u *auth.User) { s.caller.user.Store(u) }

// Refreshed schedules OnAuthenticationRefreshed after a refresh and does not wait for it.
// Before OnConnected has begun it does nothing, because OnConnected sees the new
// credentials. It is safe for concurrent use.
func (s *Session) Refreshed() {
	if s.hub.onRefreshed == nil {
		return
	}
	s.refreshed.mu.Lock()
	defer s.refreshed.mu.Unlock()
	if p := s.out.phase.Load(); p < connecting || p == closing {
		return
	}
	s.refreshed.waiting++
	s.startRefreshedLocked()
}

// refreshed counts the refreshes that the application has not been notified of.
type refreshed struct {
	mu      sync.Mutex
	waiting int32
	running bool
}

// startRefreshedLocked runs OnAuthenticationRefreshed if a refresh is waiting and the
// function is not running. The run counts as an invocation that has released its place,
// so the end of the session waits for it.
func (s *Session) startRefreshedLocked() {
	f := &s.refreshed
	if !f.running && f.waiting > 0 && s.wasConnected.Load() && s.tasks.startReleased() {
		f.waiting--
		f.running = true
		go s.runOnRefreshed()
	}
}

// runOnRefreshed survives a panic and a runtime.Goexit of the application's function.
func (s *Session) runOnRefreshed() {
	defer s.tasks.endReleased()
	defer func() {
		s.refreshed.mu.Lock()
		defer s.refreshed.mu.Unlock()
		s.refreshed.running = false
		s.startRefreshedLocked()
	}()
	var err error
	defer func() {
		if err != nil {
			s.log().failure(s.ctx, callbackFailures, "callback", "OnAuthenticationRefreshed", err)
		}
	}()
	defer guard.Recover(&err)
	s.hub.onRefreshed(s.ctx)
}
