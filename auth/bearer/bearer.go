// Package bearer authenticates requests by JSON Web Tokens: those of an identity provider that
// publishes its keys, or those signed with a key or secret of one's own.
package bearer

import (
	"errors"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/auth"
)

// Options say which tokens an Authenticator accepts.
type Options struct {
	// Keys verify signatures. Needed.
	Keys KeySet
	// Issuer must equal the token's iss; empty: not looked at.
	Issuer string
	// Audience must be one of the token's aud; empty: not looked at.
	Audience string
	// ClockSkew is how much later than its exp, and earlier than its nbf, a
	// token is accepted. Zero: 30 s. Negative: none. (ASP.NET Core: 5 min.)
	ClockSkew time.Duration
	// UserIDClaim names the claim that becomes User.ID: its text, or the digits of an integer.
	// A token without it is accepted, and its user has no ID: a Policy judges that. Empty: "sub".
	UserIDClaim string
	// QueryOnAnyRequest accepts access_token in the query of every request. By
	// default only WebSocket handshakes and event streams may carry it there,
	// because browsers cannot give those a header: a URL is logged by every
	// proxy on its way.
	QueryOnAnyRequest bool
}

func (o Options) withDefaults() Options {
	switch {
	case o.ClockSkew == 0:
		o.ClockSkew = 30 * time.Second
	case o.ClockSkew < 0:
		o.ClockSkew = 0
	}
	if o.UserIDClaim == "" {
		o.UserIDClaim = "sub"
	}
	return o
}

// Authenticator is an auth.Authenticator. It takes the token from the Authorization header or, for
// WebSockets and event streams, the query parameter access_token, which is where
// the official clients put it. Safe for concurrent use.
type Authenticator struct {
	options Options
	parser  *jwt.Parser
}

// New returns an Authenticator. It fails without Options.Keys.
func New(options Options) (*Authenticator, error) {
	if options.Keys == nil {
		return nil, errors.New("bearer: an authenticator needs keys to verify tokens with")
	}
	options = options.withDefaults()
	parse := []jwt.ParserOption{
		jwt.WithValidMethods(options.Keys.Algorithms()), // so "none" and a public key used as a secret are refused
		jwt.WithLeeway(options.ClockSkew),
		jwt.WithExpirationRequired(),
	}
	if options.Issuer != "" {
		parse = append(parse, jwt.WithIssuer(options.Issuer))
	}
	if options.Audience != "" {
		parse = append(parse, jwt.WithAudience(options.Audience))
	}
	return &Authenticator{options: options, parser: jwt.NewParser(parse...)}, nil
}

// Authenticate implements auth.Authenticator. Its errors are *auth.TokenError.
func (b *Authenticator) Authenticate(r *http.Request) (*auth.User, error) {
	text, _ := auth.Token(r)
	if text == "" && b.options.QueryOnAnyRequest {
		text = r.URL.Query().Get("access_token")
	}
	if text == "" {
		return nil, nil
	}
	claims := jwt.MapClaims{}
	accepted := false // the algorithm is: the key is asked for
	_, err := b.parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		accepted = true
		return keyFor(t, b.options.Keys)
	})
	if !accepted && isUnverified(err) {
		err = errAlgorithm
	}
	if err != nil {
		return nil, &auth.TokenError{Reason: reason(err), Err: err}
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return nil, &auth.TokenError{Reason: "The token has no expiration", Err: err}
	}
	return &auth.User{
		ID: idOf(b.options.UserIDClaim, claims, text), Claims: claims,
		Expires: expires.Time, ClockSkew: b.options.ClockSkew,
	}, nil
}

// reason is what may be told of a refusal: the kind, nothing of the content.
func reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "The token expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "The token is not valid yet"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "The audience is invalid"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "The issuer is invalid"
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return "The token has no expiration"
	case errors.Is(err, errCritical):
		return "The token has a critical header that is not understood"
	case errors.Is(err, errNoKey):
		return "The signature key was not found"
	case errors.Is(err, errAlgorithm):
		return "The algorithm is not accepted"
	case isUnverified(err):
		return "The signature is invalid"
	default:
		return "The token is malformed"
	}
}
