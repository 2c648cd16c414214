package main

import (
	"crypto/rand"
	"crypto/sha512"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
)

// tokenLife is the lifetime of a token. Like ASP.NET Core, the hub accepts it for clockSkew
// longer.
const (
	tokenLife = 5 * time.Second
	clockSkew = 5 * time.Minute
)

// tokens issues and accepts the tokens of this process, or of its cluster.
type tokens struct {
	key    []byte
	bearer *bearer.Authenticator
}

func newTokens(n *node) (*tokens, error) {
	key := make([]byte, 64)
	_, _ = rand.Read(key) // never fails
	if n != nil {
		digest := sha512.Sum512(n.secret)
		key = digest[:]
	}
	keys, err := bearer.Secret(key)
	if err != nil {
		return nil, err
	}
	bearer, err := bearer.New(bearer.Options{Keys: keys, ClockSkew: clockSkew})
	return &tokens{key, bearer}, err
}

// ServeHTTP issues a token for the user in the query.
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

// required passes the user of a token to h, and refuses requests with a refused token.
func (t *tokens) required(h http.Handler) http.Handler {
	return auth.Middleware(auth.Func(t.authenticate), h)
}

// welcome passes the user of a token to h. A request with a refused token counts as
// anonymous.
func (t *tokens) welcome(h http.Handler) http.Handler {
	return auth.Middleware(auth.Func(func(r *http.Request) (*auth.User, error) {
		user, err := t.authenticate(r)
		if err != nil {
			return nil, nil //nolint:nilerr,nilnil // anonymous callers are welcome as well
		}
		return user, nil
	}), h)
}

// authenticate reads the token from the query only if there is no Authorization header, as
// ASP.NET Core does. The parameter's name ignores case.
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
