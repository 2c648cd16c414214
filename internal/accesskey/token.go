package accesskey

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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

	notBefore time.Time // nbf; zero: there is none
	audience  string    // "": the token has none, or more than one
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
		return nil, refusal("The audience is invalid", nil)
	}
	return t, refused
}

// verify is Token for every kind and hub. The header and the claims are read after the signature, and
// once.
func (k *Keys) verify(text string) (*Token, error) {
	switch {
	case len(text) > maxToken:
		return nil, refusal("The token is too long", nil)
	case len(k.access) == 0:
		return nil, refusal("The signature key was not found", nil)
	}
	end := max(strings.LastIndexByte(text, '.'), 0)
	header, payload, separated := strings.Cut(text[:end], ".")
	signature, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text[end:], "."))
	if err != nil || !separated || strings.Contains(payload, ".") {
		return nil, refusal("The token is malformed", err)
	}
	method, reason := k.checkSignature(text[:end], signature)
	if reason != "" {
		return nil, refusal(reason, nil)
	}
	if reason = checkHeader(header, method.Alg()); reason != "" {
		return nil, refusal(reason, nil)
	}
	t, err := parse(payload)
	if err != nil {
		return nil, refusal("The token is malformed", err)
	}
	return t.checkTime(time.Now())
}

func refusal(reason string, err error) *auth.TokenError {
	return &auth.TokenError{Reason: reason, Err: err}
}

// checkSignature returns the algorithm with which one of the access keys has signed a text, or else
// the reason why the token is refused.
func (k *Keys) checkSignature(signed string, signature []byte) (method *jwt.SigningMethodHMAC, reason string) {
	method = jwt.SigningMethodHS256
	switch n := len(signature); {
	case n == sha512.Size:
		method = jwt.SigningMethodHS512
	case n != sha256.Size && n > 0:
		return nil, "The algorithm is not accepted"
	}
	for _, key := range k.access {
		if method.Verify(signed, signature, key) == nil {
			return method, ""
		}
	}
	return nil, "The signature is invalid"
}

// checkHeader returns the reason to refuse a token because of its header, or "". The header must name
// the algorithm of the signature and need no extension: no name in crit (RFC 7515, 4.1.11), and no
// unencoded payload (RFC 7797).
func checkHeader(encoded, algorithm string) (reason string) {
	text, err := base64.RawURLEncoding.DecodeString(encoded)
	var header map[string]any // a struct would ignore case
	if err != nil || json.Unmarshal(text, &header) != nil {
		return "The token is malformed"
	}
	_, critical := header["crit"]
	b64, given := header["b64"]
	switch {
	case header["alg"] != algorithm:
		return "The algorithm is not accepted"
	case critical || given && b64 != true:
		return "The token has a critical header that is not understood"
	}
	return ""
}

// checkTime returns the token if it is valid now, and an error with it if it has only expired.
func (t *Token) checkTime(now time.Time) (*Token, error) {
	switch {
	case t.Expires.IsZero():
		return nil, refusal("The token has no expiration", nil)
	case now.Before(t.notBefore.Add(-ClockSkew)):
		return nil, refusal("The token is not valid yet", nil)
	case !now.Before(t.Expires.Add(ClockSkew)):
		return t, refusal("The token expired", ErrExpired)
	}
	return t, nil
}

// parse reads the claims of a token in their order.
func parse(payload string) (*Token, error) {
	content, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return nil, err
	}
	t, decoder := &Token{}, json.NewDecoder(bytes.NewReader(content))
	if first, err := decoder.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.Join(errNoClaims, err)
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err = decoder.Decode(&value); err == nil {
			err = t.add(name.(string), value)
		}
		if err != nil {
			return nil, err
		}
	}
	if _, err := decoder.Token(); err != nil { // the brace
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errNoClaims
	}
	return t, nil
}

var errNoClaims = errors.New("the claims are not one JSON object")

// add adds a claim. A later aud, exp or nbf replaces an earlier one. It fails if a time is no number.
func (t *Token) add(name string, value json.RawMessage) (err error) {
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
		t.Expires, err = timeOf(value)
	case name == "nbf":
		t.notBefore, err = timeOf(value)
	case !slices.Contains(validityClaims, name):
		for _, v := range values {
			t.Claims = append(t.Claims, Claim{name, textOf(v)})
		}
	}
	return err
}

// timeOf returns a time of a token, without parts of a second. null is the zero time.
func timeOf(value json.RawMessage) (time.Time, error) {
	var seconds *float64
	if err := json.Unmarshal(value, &seconds); err != nil || seconds == nil {
		return time.Time{}, err
	}
	return time.Unix(int64(min(max(*seconds, -maxDate), maxDate)), 0), nil
}

// textOf returns the text of a JSON string, "" for null, and the JSON of every other value.
func textOf(value json.RawMessage) string {
	if value[0] == '"' && bytes.IndexByte(value, '\\') < 0 && utf8.Valid(value) { // most
		return string(value[1 : len(value)-1])
	}
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
