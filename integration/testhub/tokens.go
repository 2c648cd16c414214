package main

import (
	"crypto/rand"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
)

// tokenLife is how long a token is good; the original accepts it clockSkew longer.
const (
	tokenLife = 5 * time.Second
	clockSkew = 5 * time.Minute
)

// tokens issues and accepts the tokens of this process.
type tokens struct {
	key    []byte
	bearer *bearer.Authenticator
}

func newTokens() (*tokens, error) {
	key := make([]byte, 64)
	_, _ = rand.Read(key) // never fails
	keys, err := bearer.Secret(key)
	if err != nil {
		return nil, err
	}
	bearer, err := bearer.New(bearer.Options{Keys: keys, ClockSkew: clockSkew})
	return &tokens{key, bearer}, err
}

// ServeHTTP issues a token for the user that the query names.
func (t *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	if user == "" {
		user = "testuser"
	}
	claims := jwt.RegisteredClaims{Subject: user, ExpiresAt: jwt.NewNumericDate(time.Now().Add(tokenLife))}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(t.key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	plain(w, text)
}

// required lets nobody in without a token.
func (t *tokens) required(h http.Handler) http.Handler {
	return auth.Middleware(auth.Func(t.authenticate), auth.Require(nil, h))
}

// welcome tells h who comes with a token; one that is refused counts as none.
func (t *tokens) welcome(h http.Handler) http.Handler {
	return auth.Middleware(auth.Func(func(r *http.Request) (*auth.User, error) {
		user, err := t.authenticate(r)
		if err != nil {
			return nil, nil //nolint:nilerr,nilnil // anonymous callers are welcome as well
		}
		return user, nil
	}), h)
}

// authenticate heeds the token of the query only where there is no header, as the original does; the parameter's name
// has no case.
func (t *tokens) authenticate(r *http.Request) (*auth.User, error) {
	if len(r.Header.Values("Authorization")) > 0 {
		return t.bearer.Authenticate(r)
	}
	if token := query(r, "access_token"); token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return t.bearer.Authenticate(r)
}
