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
// OnAuthenticationRefreshed panics as OnConnected does.
func (h *Hub) OnAuthenticationRefreshed(f func(ctx context.Context)) {
	h.registerOnce("OnAuthenticationRefreshed", h.onRefreshed != nil, f == nil)
	h.onRefreshed = f
}

// Refresh replaces the user by one with the same id and fresher credentials. Its claims
// and expiry apply from now on. Refresh does not block. It is safe for concurrent use.
func (s *Session) Refresh(u *auth.User) { s.caller.user.Store(u) }

// Refreshed schedules OnAuthenticationRefreshed after a refresh and does not wait for it.
// Before OnConnected has begun it does nothing, because OnConnected sees the new
// credentials. It is safe for concurrent use.
func (s *Session) Refreshed() {
	if s.hub.onRefreshed != nil {
		s.refreshed.add(s)
	}
}

// refreshed counts the refreshes that the application has not been notified of. Its methods
// take the session that it is part of.
type refreshed struct {
	mu      sync.Mutex
	waiting int32
	running bool
}

func (r *refreshed) add(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := s.out.phase.Load(); p >= connecting && p != closing {
		r.waiting++
		r.startLocked(s)
	}
}

// begin records that OnConnected has succeeded, so that the application can be notified.
func (r *refreshed) begin(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.opening.connected.Store(true)
	r.startLocked(s)
}

// startLocked runs OnAuthenticationRefreshed if a refresh is waiting and the function is not
// running. The run counts as an invocation that has released its place, so the end of the
// session waits for it.
func (r *refreshed) startLocked(s *Session) {
	if !r.running && r.waiting > 0 && s.opening.connected.Load() && s.tasks.StartReleased() {
		r.waiting--
		r.running = true
		go r.run(s)
	}
}

// run survives a panic and a runtime.Goexit of the application's function.
func (r *refreshed) run(s *Session) {
	defer s.tasks.EndReleased()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.running = false
		r.startLocked(s)
	}()
	if err := guard.Run(func() error { s.hub.onRefreshed(s.ctx); return nil }); err != nil {
		s.log().failure(s.ctx, callbackFailures, "callback", "OnAuthenticationRefreshed", err)
	}
}
