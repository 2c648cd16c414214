package auth

import (
	"errors"
	"net/http"
)

// Authenticator tells who makes a request. It returns nil without an error for
// a request that carries no credentials, and an error for credentials that are
// refused. It is called concurrently, and once for every HTTP request of a
// connection: a poll and a POST carry credentials as the first request did.
type Authenticator interface {
	Authenticate(r *http.Request) (*User, error)
}

// Func makes an Authenticator of a function: cookies, sessions of the
// application's own, a header that a trusted proxy sets.
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

// ErrForbidden is what a Policy returns to refuse a user who is known.
var ErrForbidden = errors.New("auth: the user is not allowed to do this")

// Policy decides whether a user may enter; nil allows everybody known.
type Policy func(u *User, r *http.Request) error

// Middleware puts the user of a request into its context (UserFrom). Credentials
// that are refused are answered 401; a request without any passes as anonymous.
func Middleware(a Authenticator, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, err := a.Authenticate(r)
		if err != nil {
			refuse(w, err)
			return
		}
		if u != nil {
			r = r.WithContext(WithUser(r.Context(), u))
		}
		next.ServeHTTP(w, r)
	})
}

// Require lets through whom Middleware found and policy allows: 401 for an
// anonymous caller, 403 for one whom the policy refuses. Both have an empty
// body, as ASP.NET Core answers: the official client shows the reason phrase.
func Require(policy Policy, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := UserFrom(r.Context())
		switch {
		case u == nil:
			refuse(w, nil)
		case policy != nil && policy(u, r) != nil:
			w.WriteHeader(http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// refuse answers 401 with the challenge of RFC 6750. It says that a token was
// not accepted and never why in the token's own words.
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
