package auth

import (
	"errors"
	"net/http"

	"github.com/carillon-go/carillon/internal/authlog"
)

// Authenticator identifies the user of a request. It returns nil without an error for a
// request without credentials, and an error for credentials that are refused. It is called
// concurrently, and once for every HTTP request of a connection: each poll and POST carries
// credentials like the first request.
type Authenticator interface {
	Authenticate(r *http.Request) (*User, error)
}

// Func is a function as an Authenticator, for example for cookies, the application's own
// sessions, or a header that a trusted proxy sets.
type Func func(r *http.Request) (*User, error)

// Authenticate calls f.
func (f Func) Authenticate(r *http.Request) (*User, error) { return f(r) }

// TokenError is the error of an Authenticator that refuses a token. Middleware shows Reason to the
// client, so it must contain nothing of the token. Err is the cause, for logs.
type TokenError struct {
	Reason string
	Err    error
}

func (e *TokenError) Error() string { return "auth: " + e.Reason }
func (e *TokenError) Unwrap() error { return e.Err }

// StatusError is the error of an Authenticator that answers a request with another status than
// 401: 403 for a client that may not connect, 429 or 503 for one that may come back soon. Clients
// do not see Err.
type StatusError struct {
	Status int
	Err    error
}

func (e *StatusError) Error() string { return e.Err.Error() }
func (e *StatusError) Unwrap() error { return e.Err }

// Middleware puts the user of a request into its context (UserFrom). It answers refused
// credentials with 401, or as a [StatusError] says, and logs the reason to slog.Default(). A
// request without credentials passes as anonymous.
func Middleware(a Authenticator, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := a.Authenticate(r)
		if status, ok := errors.AsType[*StatusError](err); ok {
			authlog.Refused(r, "", "the authenticator refuses the client", status.Err)
			status.answer(w)
			return
		}
		if err != nil {
			authlog.Refused(r, "", reasonOf(err), nil)
			refuse(w, err)
			return
		}
		if u != nil {
			r = r.WithContext(WithUser(r.Context(), u))
		}
		next.ServeHTTP(w, r)
	})
}

func (e *StatusError) answer(w http.ResponseWriter) {
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(e.Status)
}

// reasonOf returns the reason of an Authenticator's error for the log. The text of an error
// that is not a TokenError may quote the credentials, so it is left out.
func reasonOf(err error) string {
	if refused, ok := errors.AsType[*TokenError](err); ok {
		return refused.Reason
	}
	return "the credentials are not valid"
}

// refuse answers 401 with the challenge of RFC 6750. The challenge gives the kind of the
// error and never quotes the token.
func refuse(w http.ResponseWriter, err error) {
	challenge := "Bearer"
	if err != nil {
		challenge = `Bearer error="invalid_token"`
		var refused *TokenError
		if errors.As(err, &refused) {
			challenge += `, error_description="` + refused.Reason + `"`
		}
	}
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(http.StatusUnauthorized)
}
