package hub

import (
	"errors"
	"time"

	"github.com/carillon-go/carillon/auth"
)

// ErrExpired is why a connection ends whose user's authentication has ended.
var ErrExpired = errors.New("hub: the authentication has expired")

// userID is that of the beginning: nobody becomes another one.
func (s *Session) userID() string {
	if s.info.User == nil {
		return ""
	}
	return s.info.User.ID
}

// Refresh replaces the user by the same one with fresher credentials: claims and
// expiry count from now on. The id must be the same. Safe for concurrent use.
func (s *Session) Refresh(u *auth.User) { s.user.Store(u) }

// expired tells whether the session is to end with its user's authentication, and
// that has ended.
func (s *Session) expired(now time.Time) bool {
	if !s.info.CloseOnExpiry {
		return false
	}
	u := s.user.Load()
	return u != nil && !u.Expires.IsZero() && !now.Before(u.Expires)
}
