package accesskey

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/auth"
)

// ClockSkew is the time after its exp, and before its nbf, in which a token is still accepted.
const ClockSkew = 30 * time.Second

// maxToken is the size of a token in bytes, which limits the work for one that is not valid.
const maxToken = 16 << 10

// maxDate is the last second of the year 9999, in seconds since 1970.
const maxDate = 253402300799

// ErrExpired is in the error of a token that is valid except that it has expired.
var ErrExpired = errors.New("accesskey: the token expired")

// Token is the content of a token that an access key has signed.
type Token struct {
	// Claims are the claims in the token's order, without nbf, exp, iat, iss and aud. A list is
	// one claim for each of its values. Numbers and objects are as they are written in the token.
	Claims  []Claim
	Expires time.Time // the token's exp

	audience string // "": the token has none, or more than one
}

// Claim is a claim of a token, as text. A token may have several of one type.
type Claim struct{ Type, Value string }

// The claims of the token's own validity, and the prefixes of the claims that the application's
// side adds: those for the service, and those of users that would have a reserved name.
const (
	systemPrefix = "asrs.s."
	userPrefix   = "asrs.u."
)

var validityClaims = []string{"nbf", "exp", "iat", "iss", "aud"}

// Token returns the content of a token that is of a kind and for a hub. The name of the hub ignores case;
// see Kind. r is the request that the token shall open. One of the access keys must have signed it
// (HS256 or HS512), it must have an exp, and it must be valid now, with a tolerance of 30 s. Its
// header must have no crit, and it has at most 16 KiB. If only exp is not valid, Token returns the
// content and an error that wraps ErrExpired. Errors are *auth.TokenError and quote nothing of the
// token.
func (k *Keys) Token(text string, kind Kind, hub string, r *http.Request) (*Token, error) {
	t, refused := k.verify(text)
	switch {
	case t == nil:
		return nil, refused
	case !t.isFor(kind, hub, r) || !k.isHere(t):
		return nil, &auth.TokenError{Reason: "The audience is invalid"}
	}
	return t, refused
}

// verify is Token for every kind and hub.
func (k *Keys) verify(text string) (*Token, error) {
	switch {
	case len(text) > maxToken:
		return nil, &auth.TokenError{Reason: "The token is too long"}
	case k.tokens == nil:
		return nil, &auth.TokenError{Reason: "The signature key was not found"}
	}
	if reason := k.checkSignature(text); reason != "" {
		return nil, &auth.TokenError{Reason: reason}
	}
	_, err := k.tokens.Authenticate(&http.Request{Header: http.Header{"Authorization": {"Bearer " + text}}})
	expired := errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenNotValidYet)
	if err != nil && !expired {
		return nil, err
	}
	t, malformed := parse(text)
	switch {
	case malformed != nil:
		return nil, &auth.TokenError{Reason: "The token is malformed", Err: malformed}
	case expired:
		return t, &auth.TokenError{Reason: "The token expired", Err: ErrExpired}
	}
	return t, nil
}

// checkSignature returns "" if one of the access keys has signed the token, or else the reason why it
// is refused. Nothing else of a token is read before, so that tokens of strangers cost little.
func (k *Keys) checkSignature(text string) (reason string) {
	i := max(strings.LastIndexByte(text, '.'), 0)
	signature, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text[i:], "."))
	method := jwt.SigningMethodHS256
	switch n := len(signature); {
	case err != nil || i == 0:
		return "The token is malformed"
	case n == sha512.Size:
		method = jwt.SigningMethodHS512
	case n != sha256.Size && n > 0:
		return "The algorithm is not accepted"
	}
	for _, key := range k.access {
		if method.Verify(text[:i], signature, key) == nil {
			return ""
		}
	}
	return "The signature is invalid"
}

// parse reads the claims of a token in their order.
func parse(text string) (*Token, error) {
	_, rest, _ := strings.Cut(text, ".")
	payload, _, _ := strings.Cut(rest, ".")
	t := &Token{}
	content, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	if _, err := decoder.Token(); err != nil { // the brace
		return nil, err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		t.add(name.(string), value)
	}
	return t, nil
}

// add adds a claim. A later aud or exp replaces an earlier one.
func (t *Token) add(name string, value json.RawMessage) {
	values := []json.RawMessage{value}
	if value[0] == '[' {
		_ = json.Unmarshal(value, &values) // it is valid
	}
	switch {
	case name == "aud":
		t.audience = ""
		if len(values) == 1 && values[0][0] == '"' {
			t.audience = textOf(values[0])
		}
	case name == "exp":
		var seconds float64
		_ = json.Unmarshal(value, &seconds) // auth/bearer refuses other values than numbers
		t.Expires = time.Unix(int64(min(max(seconds, -maxDate), maxDate)), 0)
	case !slices.Contains(validityClaims, name):
		for _, v := range values {
			t.Claims = append(t.Claims, Claim{name, textOf(v)})
		}
	}
}

// textOf returns the text of a JSON string, "" for null, and the JSON of every other value.
func textOf(value json.RawMessage) string {
	var text *string
	if json.Unmarshal(value, &text) != nil {
		return string(value)
	}
	if text == nil {
		return ""
	}
	return *text
}

// First returns the first value of a claim. ok is false if there is none.
func (t *Token) First(name string) (value string, ok bool) {
	i := slices.IndexFunc(t.Claims, func(c Claim) bool { return c.Type == name })
	if i < 0 {
		return "", false
	}
	return t.Claims[i].Value, true
}

// UserID returns the id of the user of a client's token: asrs.s.uid or else nameid. "": the client
// is anonymous.
func (t *Token) UserID() string {
	id, ok := t.First(systemPrefix + "uid")
	if !ok {
		id, _ = t.First("nameid")
	}
	return id
}

// UserClaims returns the claims of the user of a client's token: without those for the service,
// and with their own names.
func (t *Token) UserClaims() []Claim {
	all := make([]Claim, 0, len(t.Claims))
	for _, c := range t.Claims {
		if !strings.HasPrefix(c.Type, systemPrefix) {
			all = append(all, Claim{strings.TrimPrefix(c.Type, userPrefix), c.Value})
		}
	}
	return all
}

// Grant is the content of a token to sign.
type Grant struct {
	Audience string
	UserID   string    // nameid; "": none
	Claims   []Claim   // several of one type become a list; those of the token's validity are left out
	Expires  time.Time // in whole seconds
}

// Sign returns a token that the first access key has signed (HS256). It fails without access keys.
func (k *Keys) Sign(g Grant) (string, error) {
	if len(k.access) == 0 {
		return "", errors.New("there is no access key to sign with")
	}
	values := map[string][]string{}
	for _, c := range g.Claims {
		values[c.Type] = append(values[c.Type], c.Value)
	}
	claims := jwt.MapClaims{}
	for name, all := range values {
		if claims[name] = all; len(all) == 1 {
			claims[name] = all[0]
		}
	}
	if g.UserID != "" {
		claims["nameid"] = g.UserID
	}
	now := time.Now().Unix()
	claims["nbf"], claims["iat"], claims["exp"], claims["aud"] = now, now, g.Expires.Unix(), g.Audience
	delete(claims, "iss")
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(k.access[0])
}
