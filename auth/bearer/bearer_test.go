package bearer

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/auth"
)

var testSecret = []byte("0123456789abcdef0123456789abcdef")

func testBearer(t *testing.T, options Options) *Authenticator {
	t.Helper()
	if options.Keys == nil {
		keys, err := Secret(testSecret)
		if err != nil {
			t.Fatal(err)
		}
		options.Keys = keys
	}
	b, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func withHeader(token string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/hub/negotiate", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func TestBearerAccepts(t *testing.T) {
	b := testBearer(t, Options{Issuer: "me", Audience: "hub"})
	token := sign(t, jwt.SigningMethodHS256, testSecret,
		jwt.MapClaims{"sub": "alice", "exp": in(time.Minute), "iss": "me", "aud": []string{"other", "hub"}, "role": "admin"})
	u, err := b.Authenticate(withHeader(token))
	if err != nil {
		t.Fatal(err)
	}
	if u.ID != "alice" || u.Claims["role"] != "admin" || u.Expires.IsZero() {
		t.Errorf("got %+v", u)
	}
}

func TestBearerRefuses(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := jwt.MapClaims{"sub": "alice", "exp": in(time.Minute), "iss": "me", "aud": "hub"}
	with := func(name string, value any) jwt.MapClaims {
		c := jwt.MapClaims{}
		for k, v := range good {
			c[k] = v
		}
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
		return c
	}
	valid := sign(t, jwt.SigningMethodHS256, testSecret, good)
	cases := map[string]string{
		"expired":             sign(t, jwt.SigningMethodHS256, testSecret, with("exp", in(-time.Minute))),
		"without expiry":      sign(t, jwt.SigningMethodHS256, testSecret, with("exp", nil)),
		"not yet valid":       sign(t, jwt.SigningMethodHS256, testSecret, with("nbf", in(time.Hour))),
		"wrong key":           sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), good),
		"wrong algorithm":     sign(t, jwt.SigningMethodRS256, rsaKey, good),
		"none":                sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good),
		"wrong audience":      sign(t, jwt.SigningMethodHS256, testSecret, with("aud", "elsewhere")),
		"wrong issuer":        sign(t, jwt.SigningMethodHS256, testSecret, with("iss", "elsewhere")),
		"truncated":           valid[:len(valid)-4],
		"without a signature": valid[:strings.LastIndex(valid, ".")+1],
		"no token at all":     "garbage",
	}
	b := testBearer(t, Options{Issuer: "me", Audience: "hub"})
	for name, token := range cases {
		t.Run(name, func(t *testing.T) {
			u, err := b.Authenticate(withHeader(token))
			if err == nil {
				t.Fatalf("accepted as %+v", u)
			}
			if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), "alice") {
				t.Errorf("the error repeats the token: %v", err)
			}
		})
	}
}

// No time of a token is so large that it becomes one of the past, nor so small that it becomes one
// of the future.
func TestTimesBeyondEveryYear(t *testing.T) {
	t.Parallel()
	b := testBearer(t, Options{})
	soon := in(time.Minute)
	for claims, valid := range map[string]bool{
		`"exp":1e300`:                               true,
		`"exp":9223372036854775807`:                 true,
		`"exp":9223372036854775808`:                 true,
		`"exp":1e17`:                                true,
		`"exp":-1e300`:                              false,
		`"exp":-9223372036854775808`:                false,
		fmt.Sprintf(`"exp":%d,"nbf":1e300`, soon):   false,
		fmt.Sprintf(`"exp":%d,"nbf":9.3e18`, soon):  false,
		fmt.Sprintf(`"exp":%d,"nbf":-1e300`, soon):  true,
		fmt.Sprintf(`"exp":%d,"nbf":-9.3e18`, soon): true,
	} {
		u, err := b.Authenticate(withHeader(signWith(t, nil, `{"sub":"alice",`+claims+`}`)))
		switch {
		case (err == nil) != valid:
			t.Errorf("%s: %v", claims, err)
		case valid && (u.Expires.Before(time.Now()) || u.Expires.Year() > 9999):
			t.Errorf("%s: the token expires at %v", claims, u.Expires)
		}
	}
}

// A public key that is used as the secret of HS256 must not verify.
func TestPublicKeyIsNoSecret(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := PublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	b := testBearer(t, Options{Keys: keys})
	claims := jwt.MapClaims{"sub": "a", "exp": in(time.Minute)}
	if _, err := b.Authenticate(withHeader(sign(t, jwt.SigningMethodHS256, []byte(public), claims))); err == nil {
		t.Error("a token signed with the public key as a secret was accepted")
	}
	if _, err := b.Authenticate(withHeader(sign(t, jwt.SigningMethodEdDSA, private, claims))); err != nil {
		t.Error(err)
	}
}

func TestTokenInQueryOfAnyRequest(t *testing.T) {
	token := sign(t, jwt.SigningMethodHS256, testSecret, jwt.MapClaims{"sub": "a", "exp": in(time.Minute)})
	r := httptest.NewRequest(http.MethodPost, "/hub?access_token="+token, nil)
	if u, err := testBearer(t, Options{}).Authenticate(r); u != nil || err != nil {
		t.Errorf("by default: %v, %v", u, err)
	}
	if u, err := testBearer(t, Options{QueryOnAnyRequest: true}).Authenticate(r); u == nil || err != nil {
		t.Errorf("on any request: %v, %v", u, err)
	}
}

// signWith signs claims that are written as text, under a header of which more is set.
func signWith(t *testing.T, header map[string]any, claims string) string {
	t.Helper()
	j := jwt.New(jwt.SigningMethodHS256)
	maps.Copy(j.Header, header)
	head, err := json.Marshal(j.Header)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := jwt.SigningMethodHS256.Sign(text, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// asked is a set of keys that counts how often it is asked.
type asked struct {
	KeySet
	times int
}

func (a *asked) Key(t *jwt.Token) (any, error) {
	a.times++
	return a.KeySet.Key(t)
}

// An extension that a token's header calls critical is not understood, whatever it is, also
// where the header is none that may be; no key is asked for then.
func TestCriticalHeaders(t *testing.T) {
	secret, err := Secret(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	keys := &asked{KeySet: secret}
	b := testBearer(t, Options{Keys: keys})
	claims := fmt.Sprintf(`{"sub":"alice","exp":%d}`, in(time.Minute))
	for name, header := range map[string]map[string]any{
		"an extension":         {"crit": []string{"http://example.com/x"}, "http://example.com/x": 1},
		"a registered header":  {"crit": []string{"exp"}, "exp": in(time.Minute)},
		"b64 as it is anyway":  {"crit": []string{"b64"}, "b64": true},
		"no names":             {"crit": []string{}},
		"null":                 {"crit": nil},
		"text":                 {"crit": "exp"},
		"a number":             {"crit": 0},
		"b64 that is not said": {"b64": false},
		"b64 of another type":  {"b64": "true"},
	} {
		u, err := b.Authenticate(withHeader(signWith(t, header, claims)))
		var refused *auth.TokenError
		if u != nil || !errors.As(err, &refused) || refused.Reason != "The token has a critical header that is not understood" {
			t.Errorf("%s: %v, %v", name, u, err)
		}
	}
	if keys.times != 0 {
		t.Errorf("%d keys were asked for", keys.times)
	}
	if _, err := b.Authenticate(withHeader(signWith(t, map[string]any{"b64": true, "Crit": []string{"x"}, "x5t": "y"}, claims))); err != nil {
		t.Errorf("headers that need not be understood: %v", err)
	}
}

// A claim of text or of an integer names the user. Any other leaves the user without an ID,
// which is for a policy to judge.
func TestUserIDs(t *testing.T) {
	b := testBearer(t, Options{UserIDClaim: "user_id"})
	for value, want := range map[string]string{
		`"alice"`: "alice", `"42"`: "42", `""`: "", `42`: "42", `0`: "0", `-0`: "0", `-7`: "-7",
		`42.0`: "42", `4.2e1`: "42", `420E-1`: "42", `1e3`: "1000",
		`9007199254740993`: "9007199254740993", `9007199254740993.0`: "9007199254740993", `18446744073709551617`: "18446744073709551617",
		`123456789012345678901234567890123456789`: "123456789012345678901234567890123456789",
		`1.5`: "", `1.00000000000000000001`: "", `1e300`: "", `true`: "", `null`: "", `["a"]`: "", `{"a":1}`: "",
		`1,"user_id":2`: "2",
	} {
		u, err := b.Authenticate(withHeader(signWith(t, nil, fmt.Sprintf(`{"sub":"other","exp":%d,"user_id":%s}`, in(time.Minute), value))))
		if err != nil || u == nil || u.ID != want {
			t.Errorf("%s: %+v, %v, want %q", value, u, err, want)
		}
	}
	anonymous := signWith(t, nil, fmt.Sprintf(`{"exp":%d}`, in(time.Minute)))
	needsID := func(_ context.Context, u *auth.User) error {
		if u.ID == "" {
			return auth.ErrForbidden
		}
		return nil
	}
	for name, c := range map[string]struct {
		policy auth.Policy
		want   int
	}{"no policy": {nil, http.StatusOK}, "a policy": {needsID, http.StatusForbidden}} {
		w := httptest.NewRecorder()
		auth.Middleware(b, auth.Require(c.policy, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))).ServeHTTP(w, withHeader(anonymous))
		if w.Code != c.want {
			t.Errorf("%s: %d", name, w.Code)
		}
	}
}

// A refusal says in words why, and nothing of the token.
func TestReasons(t *testing.T) {
	b := testBearer(t, Options{Issuer: "me", Audience: "hub"})
	good := func(more string) string {
		return fmt.Sprintf(`{"sub":"alice","exp":%d,"iss":"me","aud":"hub"%s}`, in(time.Minute), more)
	}
	valid := signWith(t, nil, good(""))
	for token, want := range map[string]string{
		"garbage":                          "The token is malformed",
		valid[:10] + valid:                 "The token is malformed",
		valid[:len(valid)-4]:               "The signature is invalid",
		signWith(t, nil, good(`,"exp":1`)): "The token expired",
		signWith(t, nil, good(fmt.Sprintf(`,"nbf":%d`, in(time.Hour)))):   "The token is not valid yet",
		signWith(t, nil, good(`,"aud":"secret"`)):                         "The audience is invalid",
		signWith(t, nil, good(`,"iss":"secret"`)):                         "The issuer is invalid",
		signWith(t, nil, `{"sub":"alice","iss":"me","aud":"hub"}`):        "The token has no expiration",
		signWith(t, map[string]any{"alg": "none"}, good("")):              "The algorithm is not accepted",
		signWith(t, map[string]any{"alg": "RS256"}, good("")):             "The algorithm is not accepted",
		signWith(t, map[string]any{"alg": "secret"}, good("")):            "The algorithm is not accepted",
		signWith(t, map[string]any{"crit": []string{"secret"}}, good("")): "The token has a critical header that is not understood",
	} {
		w := httptest.NewRecorder()
		auth.Middleware(b, http.NotFoundHandler()).ServeHTTP(w, withHeader(token))
		if got := w.Header().Get("WWW-Authenticate"); w.Code != http.StatusUnauthorized || got != `Bearer error="invalid_token", error_description="`+want+`"` {
			t.Errorf("%d, %s, want %s", w.Code, got, want)
		}
	}
}

func TestMiddleware(t *testing.T) {
	admin := func(_ context.Context, u *auth.User) error {
		if u.Claims["role"] != "admin" {
			return auth.ErrForbidden
		}
		return nil
	}
	h := auth.Middleware(testBearer(t, Options{}), auth.Require(admin, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(auth.UserFrom(r.Context()).ID))
	})))
	token := func(claims jwt.MapClaims) string {
		claims["exp"] = in(time.Minute)
		return sign(t, jwt.SigningMethodHS256, testSecret, claims)
	}
	for name, c := range map[string]struct {
		header, challenge, body string
		status                  int
	}{
		"anonymous": {"", "Bearer", "", 401},
		"bad token": {"Bearer x.y.z", `Bearer error="invalid_token", error_description="The token is malformed"`, "", 401},
		"no admin":  {"Bearer " + token(jwt.MapClaims{"sub": "bob"}), "", "", 403},
		"admin":     {"bearer " + token(jwt.MapClaims{"sub": "alice", "role": "admin"}), "", "alice", 200},
	} {
		r := httptest.NewRequest(http.MethodPost, "/hub/negotiate", nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: %d %q %q", name, w.Code, w.Body, w.Header().Get("WWW-Authenticate"))
		}
	}
}

func TestKeyFile(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	keys, err := KeyFile(write("public.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	b := testBearer(t, Options{Keys: keys})
	if _, err := b.Authenticate(withHeader(sign(t, jwt.SigningMethodES256, key, jwt.MapClaims{"sub": "a", "exp": in(time.Minute)}))); err != nil {
		t.Error(err)
	}
	if _, err := KeyFile(write("secret", append(testSecret, '\n'))); err != nil {
		t.Error(err)
	}
	for name, data := range map[string][]byte{
		"short":   []byte("short"),
		"private": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
	} {
		if _, err := KeyFile(write(name, data)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
