// Package bearer authenticates requests by JSON Web Tokens. The keys are those that an
// identity provider publishes, or the application's own key or secret.
package bearer

import (
	"errors"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/auth"
)

// Options configure the tokens that an Authenticator accepts.
type Options struct {
	// Keys verify the signatures. Required.
	Keys KeySet
	// Issuer must equal the token's iss. Empty: iss is not checked.
	Issuer string
	// Audience must be one of the token's aud. Empty: aud is not checked.
	Audience string
	// ClockSkew is the time after its exp, and before its nbf, in which a token is still
	// accepted. Negative: none. Default 30 s (ASP.NET Core: 5 min).
	ClockSkew time.Duration
	// UserIDClaim names the claim that becomes User.ID: its text, or the digits of an
	// integer. A token without this claim is accepted, and its user has an empty ID; a Policy
	// can refuse such users. Default "sub".
	UserIDClaim string
	// QueryOnAnyRequest accepts access_token in the query of every request. Otherwise only
	// WebSocket handshakes and event streams may carry it there, because browsers cannot add
	// a header to them, and every proxy on the way logs URLs. Default false.
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

// Authenticator authenticates requests by a JSON Web Token. It implements auth.Authenticator.
// It reads the token from the Authorization header or, for WebSockets and event streams, from
// the query parameter access_token, where the official clients put it. Safe for concurrent
// use.
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
		jwt.WithValidMethods(options.Keys.Algorithms()), // refuses "none" and a public key used as a secret
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
	accepted := false // the parser accepted the algorithm and requested the key
	_, err := b.parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		accepted = true
		boundDates(claims)
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

// reason returns the kind of an error as a text for the client. The text contains nothing of
// the token.
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
