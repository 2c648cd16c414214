package gateway

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

var secretKey = []byte("a secret of more than 32 bytes, for tests")

func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, secretKey, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// guarded starts a gateway that wants tokens.
func guarded(t *testing.T, change func(*Config)) *running {
	t.Helper()
	return start(t, func(c *Config) {
		c.JWTKey, c.JWTIssuer, c.JWTAudience, c.JWTUserClaim = keyFile(t), "issuer", "clock", "name"
		if change != nil {
			change(c)
		}
	})
}

// tokenOf is a token that a guarded gateway accepts, but for what change does to it.
func tokenOf(t *testing.T, user string, change func(jwt.MapClaims)) string {
	t.Helper()
	claims := jwt.MapClaims{"name": user, "iss": "issuer", "aud": "clock", "exp": time.Now().Add(time.Hour).Unix()}
	if change != nil {
		change(claims)
	}
	return signed(t, jwt.SigningMethodHS256, secretKey, "", claims)
}

func signed(t *testing.T, method jwt.SigningMethod, key any, id string, claims jwt.Claims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if id != "" {
		token.Header["kid"] = id
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const negotiation = "/hubs/clock/negotiate?negotiateVersion=1"

// enter negotiates with a token and returns the token of the connection.
func (r *running) enter(token string) string {
	r.t.Helper()
	response := r.do(http.MethodPost, negotiation, "", "Authorization", "Bearer "+token)
	if response.StatusCode != http.StatusOK {
		r.t.Fatal(response.Status)
	}
	var o offer
	if err := json.NewDecoder(response.Body).Decode(&o); err != nil {
		r.t.Fatal(err)
	}
	return o.ConnectionToken
}

// dial opens a WebSocket; the status is that of the answer.
func (r *running) dial(query string, header ...string) (conn *websocket.Conn, status int) {
	r.t.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(r.url, "http")+"/hubs/clock?"+query, h)
	if response == nil {
		r.t.Fatal(err)
	}
	_ = response.Body.Close()
	if conn != nil {
		r.t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, response.StatusCode
}

const shake = "{\"protocol\":\"json\",\"version\":1}\x1e"

func TestTokenOpensTheHub(t *testing.T) {
	r := guarded(t, nil)
	alice := tokenOf(t, "alice", nil)
	bearer := []string{"Authorization", "Bearer " + alice}
	for name, answer := range map[string]*http.Response{
		"negotiate": r.do(http.MethodPost, negotiation, ""),
		"poll":      r.do(http.MethodGet, "/hubs/clock?id=x&access_token="+alice, ""),
		"post":      r.do(http.MethodPost, "/hubs/clock?id=x&access_token="+alice, shake),
	} {
		if body := text(t, answer); answer.StatusCode != http.StatusUnauthorized || body != "" || answer.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: %s %q", name, answer.Status, body)
		}
	}
	if answer := r.do(http.MethodGet, "/healthz", ""); answer.StatusCode != http.StatusOK {
		t.Error("health is not for everybody:", answer.Status)
	}

	conn, status := r.dial("id=" + r.enter(alice) + "&access_token=" + alice)
	if status != http.StatusSwitchingProtocols {
		t.Fatal(status)
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte(shake)); err != nil {
		t.Fatal(err)
	}
	if _, hello, err := conn.ReadMessage(); err != nil || string(hello) != "{}\x1e" {
		t.Errorf("%q, %v", hello, err)
	}

	id := r.enter(alice)
	stream := r.do(http.MethodGet, "/hubs/clock?id="+id+"&access_token="+alice, "", "Accept", "text/event-stream")
	if stream.StatusCode != http.StatusOK {
		t.Fatal(stream.Status)
	}
	r.do(http.MethodPost, "/hubs/clock?id="+id, shake, bearer...)
	lines := bufio.NewReader(stream.Body)
	for _, want := range []string{":\r\n", "data: {}\x1e\r\n"} {
		if line, err := lines.ReadString('\n'); line != want {
			t.Errorf("%q, %v", line, err)
		}
	}

	id = r.enter(alice)
	if answer := r.do(http.MethodGet, "/hubs/clock?id="+id, "", bearer...); answer.StatusCode != http.StatusOK {
		t.Error("poll:", answer.Status)
	}
}

// A page of an allowed origin has to be able to read that it was refused, why, and where it is sent on to; others
// read nothing.
func TestRefusalsHaveCORS(t *testing.T) {
	const friend, stranger = "https://a.example", "https://b.example"
	r := guarded(t, func(c *Config) { c.CORSOrigin, c.MaxPerUser, c.MaxConnections = []string{friend}, 2, 3 })
	bearer := func(user string) []string { return []string{"Authorization", "Bearer " + tokenOf(t, user, nil)} }
	id := r.enter(tokenOf(t, "alice", nil))
	r.enter(tokenOf(t, "bob", nil))
	r.enter(tokenOf(t, "bob", nil)) // as many as bob may have, and as many as there may be
	for _, c := range []struct {
		status       int
		method, path string
		header       []string
	}{
		{http.StatusUnauthorized, http.MethodPost, negotiation, nil},
		{http.StatusForbidden, http.MethodPost, "/hubs/clock?id=" + id, bearer("bob")},
		{http.StatusNotFound, http.MethodGet, "/hubs/clock?id=none", bearer("alice")},
		{http.StatusMethodNotAllowed, http.MethodPut, "/hubs/clock?id=" + id, bearer("alice")},
		{http.StatusServiceUnavailable, http.MethodPost, negotiation, bearer("alice")},
	} {
		r.wantCORS(c.status, friend, friend, c.method, c.path, c.header...)
		if c.header == nil { // with credentials everything of a stranger is 403, see endpoint's tests
			r.wantCORS(c.status, stranger, "", c.method, c.path)
		}
		r.wantCORS(http.StatusForbidden, stranger, "", http.MethodPost, negotiation, bearer("alice")...)
	}
	r.wantCORS(http.StatusNoContent, friend, friend, http.MethodOptions, negotiation,
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
	r.wantCORS(http.StatusNoContent, stranger, "", http.MethodOptions, negotiation, "Access-Control-Request-Method", "POST")
}

func TestTooManyHasCORS(t *testing.T) {
	const friend = "https://a.example"
	r := guarded(t, func(c *Config) { c.CORSOrigin, c.MaxPerUser, c.Tickets = []string{friend}, 1, time.Minute })
	alice := tokenOf(t, "alice", nil)
	r.enter(r.ticket(alice))
	// The ticket redirects.
	r.wantCORS(http.StatusOK, friend, friend, http.MethodPost, negotiation, "Authorization", "Bearer "+alice)
	answer := r.wantCORS(http.StatusTooManyRequests, friend, friend, http.MethodPost, negotiation, "Authorization", "Bearer "+r.ticket(alice))
	if answer.Header.Get("Retry-After") == "" {
		t.Error(answer.Header)
	}
}

// wantCORS makes a request of a page; allowed is the origin that may read the answer.
func (r *running) wantCORS(status int, origin, allowed, method, path string, header ...string) *http.Response {
	r.t.Helper()
	answer := r.do(method, path, "", append([]string{"Origin", origin}, header...)...)
	if got := answer.Header.Get("Access-Control-Allow-Origin"); answer.StatusCode != status || got != allowed {
		r.t.Errorf("%s %s of %s: %s, allowed %q, want %d and %q", method, strings.Split(path, "?")[0], origin, answer.Status, got, status, allowed)
	}
	return answer
}

// The identity provider takes another key; the gateway goes on without a restart.
func TestPublishedKeysRotate(t *testing.T) {
	var published atomic.Value
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(published.Load().(string)))
	}))
	defer provider.Close()
	rotate := func(id string) (token string) {
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		published.Store(`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"` + id + `","x":"` +
			base64.RawURLEncoding.EncodeToString(public) + `"}]}`)
		return signed(t, jwt.SigningMethodEdDSA, private, id, jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
	}
	first := rotate("1")
	r := start(t, func(c *Config) { c.JWKSURL = provider.URL })
	r.enter(first)
	r.enter(rotate("2"))
	if answer := r.do(http.MethodPost, negotiation, "", "Authorization", "Bearer "+first); answer.StatusCode != http.StatusUnauthorized {
		t.Error("the key that was taken back still opens:", answer.Status)
	}
}

func TestInvalidTokenSettings(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"--jwks-url":                   func(c *Config) { c.JWKSURL = "keys.example" },
		"exclude":                      func(c *Config) { c.JWTKey, c.JWKSURL = "key", "https://keys.example" },
		"--jwt-issuer":                 func(c *Config) { c.JWTIssuer = "me" },
		"--tickets":                    func(c *Config) { c.Tickets = time.Second },
		"--jwt-max-lifetime need":      func(c *Config) { c.JWTMaxLifetime = time.Second },
		"--jwt-max-lifetime: the time": func(c *Config) { c.JWTKey, c.JWTMaxLifetime = "key", -1 },
		"--public-url":                 func(c *Config) { c.JWTKey, c.PublicURL = "key", "example.com" },
	} {
		c := Config{Path: "/hub", Transports: []string{"WebSockets"}}
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := Config{Path: "/hub", Transports: []string{"WebSockets"}, JWTKey: filepath.Join(t.TempDir(), "none")}
	if _, err := New(c, c.Logger(new(slog.LevelVar))); err == nil {
		t.Error("a gateway without its key started")
	}
}

// A connection ends with its token, and may come back with another one.
func TestConnectionsEndWithTheirToken(t *testing.T) {
	r := guarded(t, func(c *Config) { c.Interval = -1 })
	brief := tokenOf(t, "alice", func(c jwt.MapClaims) { c["exp"] = time.Now().Add(2 * time.Second).Unix() })
	conn, status := r.dial("id=" + r.enter(brief) + "&access_token=" + brief)
	if conn == nil {
		t.Fatal(status)
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte(shake)); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	for _, want := range []string{"{}\x1e", "{\"type\":7,\"allowReconnect\":true}\x1e"} {
		if _, got, err := conn.ReadMessage(); err != nil || string(got) != want {
			t.Errorf("%q, %v", got, err)
		}
	}
}
