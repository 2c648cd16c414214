package auth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// BearerOptions say which tokens a Bearer accepts.
type BearerOptions struct {
	// Keys verify signatures. Needed.
	Keys KeySet
	// Issuer must equal the token's iss; empty: not looked at.
	Issuer string
	// Audience must be one of the token's aud; empty: not looked at.
	Audience string
	// ClockSkew is how much later than its exp, and earlier than its nbf, a
	// token is accepted. Zero: 30 s. Negative: none. (ASP.NET Core: 5 min.)
	ClockSkew time.Duration
	// UserIDClaim names the claim that becomes User.ID. Empty: "sub".
	UserIDClaim string
	// QueryOnAnyRequest accepts access_token in the query of every request. By
	// default only WebSocket handshakes and event streams may carry it there,
	// because browsers cannot give those a header: a URL is logged by every
	// proxy on its way.
	QueryOnAnyRequest bool
}

func (o BearerOptions) withDefaults() BearerOptions {
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

// Bearer authenticates by a JSON Web Token, from the Authorization header or, for
// WebSockets and event streams, the query parameter access_token, which is where
// the official clients put it. Safe for concurrent use.
type Bearer struct {
	options BearerOptions
	parser  *jwt.Parser
}

// NewBearer returns a Bearer. It fails when there is no key to verify with.
func NewBearer(options BearerOptions) (*Bearer, error) {
	if options.Keys == nil {
		return nil, errors.New("auth: a bearer needs keys to verify tokens with")
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
	return &Bearer{options: options, parser: jwt.NewParser(parse...)}, nil
}

// TokenError is why a token was refused, in words that may be shown to whoever
// sent it: they hold nothing of the token.
type TokenError struct {
	Reason string
	cause  error
}

func (e *TokenError) Error() string { return "auth: " + e.Reason }
func (e *TokenError) Unwrap() error { return e.cause }

// Authenticate implements Authenticator. Its errors are *TokenError.
func (b *Bearer) Authenticate(r *http.Request) (*User, error) {
	text, _ := Token(r)
	if text == "" && b.options.QueryOnAnyRequest {
		text = r.URL.Query().Get("access_token")
	}
	if text == "" {
		return nil, nil
	}
	claims := jwt.MapClaims{}
	_, err := b.parser.ParseWithClaims(text, claims, b.options.Keys.Key)
	if err != nil {
		return nil, &TokenError{Reason: reason(err), cause: err}
	}
	expires, err := claims.GetExpirationTime()
	if err != nil || expires == nil {
		return nil, &TokenError{Reason: "The token has no expiration", cause: err}
	}
	id, _ := claims[b.options.UserIDClaim].(string)
	if id == "" {
		return nil, &TokenError{Reason: fmt.Sprintf("The token has no %s", b.options.UserIDClaim)}
	}
	return &User{ID: id, Claims: claims, Expires: expires.Time}, nil
}

// Token returns the bearer token of a request, and whether it stood in the URL: where
// the Authorization header has none, WebSockets and event streams may carry it there.
// "" if there is none.
func Token(r *http.Request) (text string, inURL bool) {
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(text), false
	}
	if cannotHaveHeaders(r) {
		text = r.URL.Query().Get("access_token")
		return text, text != ""
	}
	return "", false
}

// cannotHaveHeaders tells the requests that browsers make without letting a page
// set headers: WebSocket and EventSource. What a proxy lost of them on the way does not
// count: Upgrade of the one, Accept of the other, which alone says no-cache without
// X-Requested-With.
func cannotHaveHeaders(r *http.Request) bool {
	if r.Header.Get("Sec-WebSocket-Key") != "" {
		return true
	}
	accept := strings.ToLower(strings.Join(r.Header.Values("Accept"), ","))
	lost := accept == "" && r.Header.Get("X-Requested-With") == "" && strings.EqualFold(r.Header.Get("Cache-Control"), "no-cache")
	return r.Method == http.MethodGet && (lost || strings.Contains(accept, "text/event-stream"))
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
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return "The signature is invalid"
	default:
		return "The token is malformed"
	}
}
