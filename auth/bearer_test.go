package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var testSecret = []byte("0123456789abcdef0123456789abcdef")

func testBearer(t *testing.T, options BearerOptions) *Bearer {
	t.Helper()
	if options.Keys == nil {
		keys, err := Secret(testSecret)
		if err != nil {
			t.Fatal(err)
		}
		options.Keys = keys
	}
	b, err := NewBearer(options)
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
	b := testBearer(t, BearerOptions{Issuer: "me", Audience: "hub"})
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
		"without a user":      sign(t, jwt.SigningMethodHS256, testSecret, with("sub", nil)),
		"truncated":           valid[:len(valid)-4],
		"without a signature": valid[:strings.LastIndex(valid, ".")+1],
		"no token at all":     "garbage",
	}
	b := testBearer(t, BearerOptions{Issuer: "me", Audience: "hub"})
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
	b := testBearer(t, BearerOptions{Keys: keys})
	claims := jwt.MapClaims{"sub": "a", "exp": in(time.Minute)}
	if _, err := b.Authenticate(withHeader(sign(t, jwt.SigningMethodHS256, []byte(public), claims))); err == nil {
		t.Error("a token signed with the public key as a secret was accepted")
	}
	if _, err := b.Authenticate(withHeader(sign(t, jwt.SigningMethodEdDSA, private, claims))); err != nil {
		t.Error(err)
	}
}

func TestTokenInQuery(t *testing.T) {
	token := sign(t, jwt.SigningMethodHS256, testSecret, jwt.MapClaims{"sub": "a", "exp": in(time.Minute)})
	request := func(method string, header, value string) *http.Request {
		r := httptest.NewRequest(method, "/hub?access_token="+token, nil)
		if header != "" {
			r.Header.Set(header, value)
		}
		return r
	}
	b := testBearer(t, BearerOptions{})
	for name, c := range map[string]struct {
		r  *http.Request
		ok bool
	}{
		"event stream":                      {request(http.MethodGet, "Accept", "text/event-stream"), true},
		"event stream that lost its Accept": {request(http.MethodGet, "Cache-Control", "no-cache"), true},
		"websocket":                         {request(http.MethodGet, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), true},
		"poll":                              {request(http.MethodGet, "", ""), false},
		"post":                              {request(http.MethodPost, "", ""), false},
	} {
		u, err := b.Authenticate(c.r)
		if err != nil || (u != nil) != c.ok {
			t.Errorf("%s: %v, %v", name, u, err)
		}
	}
	everywhere := testBearer(t, BearerOptions{QueryOnAnyRequest: true})
	if u, err := everywhere.Authenticate(request(http.MethodPost, "", "")); u == nil || err != nil {
		t.Errorf("on any request: %v, %v", u, err)
	}
}

func TestMiddleware(t *testing.T) {
	admin := func(u *User, _ *http.Request) error {
		if u.Claims["role"] != "admin" {
			return ErrForbidden
		}
		return nil
	}
	h := Middleware(testBearer(t, BearerOptions{}), Require(admin, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(UserFrom(r.Context()).ID))
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
	b := testBearer(t, BearerOptions{Keys: keys})
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
