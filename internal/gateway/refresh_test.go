package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const connectionToken = "X-SignalR-Connection-Token"

// lifetime negotiates and returns the token of the connection and the lifetime that is told,
// "" for none.
func (r *running) lifetime(header ...string) (id, seconds string) {
	r.t.Helper()
	answer := r.do(http.MethodPost, negotiation, "", header...)
	var o struct {
		ConnectionToken      string
		TokenLifetimeSeconds json.Number
	}
	if err := json.NewDecoder(answer.Body).Decode(&o); err != nil || answer.StatusCode != http.StatusOK {
		r.t.Fatal(answer.Status, err)
	}
	return o.ConnectionToken, o.TokenLifetimeSeconds.String()
}

// A token of an hour is told of, and a connection takes another one; both are bounded by the
// setting.
func TestTokensAreRefreshed(t *testing.T) {
	for _, longest := range []time.Duration{0, time.Minute} {
		r := guarded(t, func(c *Config) { c.JWTRefresh, c.JWTMaxLifetime = true, longest })
		bearer := []string{"Authorization", "Bearer " + tokenOf(t, "alice", nil)}
		id, seconds := r.lifetime(bearer...)
		answer := r.do(http.MethodPost, "/hubs/clock/refresh", "", append(bearer, connectionToken, id)...)
		refreshed := text(t, answer)
		for _, got := range []string{seconds, strings.TrimPrefix(strings.TrimSuffix(refreshed, "}"), `{"tokenLifetimeSeconds":`)} {
			if short := len(got) < 4; got == "" || short != (longest > 0) {
				t.Errorf("at most %v: %q", longest, got)
			}
		}
		answer = r.do(http.MethodPost, "/hubs/clock/refresh", "", append(bearer, connectionToken, strings.Repeat("x", 100<<10))...)
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Error("a header of 100 KiB:", answer.Status)
		}
	}
}

// Where refresh is switched off, or no tokens are verified, nothing tells of it.
func TestNoRefresh(t *testing.T) {
	for name, r := range map[string]*running{
		"off":         guarded(t, func(c *Config) { c.JWTRefresh = false }),
		"without key": start(t, func(c *Config) { c.JWTRefresh = true }),
	} {
		bearer := []string{"Authorization", "Bearer " + tokenOf(t, "alice", nil)}
		id, seconds := r.lifetime(bearer...)
		if seconds != "" {
			t.Errorf("%s: a lifetime of %s", name, seconds)
		}
		answer := r.do(http.MethodPost, "/hubs/clock/refresh", "", append(bearer, connectionToken, id)...)
		if body := text(t, answer); answer.StatusCode != http.StatusNotFound || body != "" {
			t.Errorf("%s: %s %q", name, answer.Status, body)
		}
	}
}

// A page of another origin may send the header that names the connection.
func TestRefreshHasCORS(t *testing.T) {
	const friend = "https://a.example"
	r := guarded(t, func(c *Config) { c.JWTRefresh, c.CORSOrigin = true, []string{friend} })
	answer := r.wantCORS(http.StatusNoContent, friend, friend, http.MethodOptions, "/hubs/clock/refresh",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-signalr-connection-token")
	if allowed := answer.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(strings.ToLower(allowed), "x-signalr-connection-token") {
		t.Error(answer.Header)
	}
	bearer := []string{"Authorization", "Bearer " + tokenOf(t, "alice", nil)}
	id, _ := r.lifetime(bearer...)
	r.wantCORS(http.StatusOK, friend, friend, http.MethodPost, "/hubs/clock/refresh", append(bearer, connectionToken, id)...)
	r.wantCORS(http.StatusBadRequest, friend, friend, http.MethodPost, "/hubs/clock/refresh", bearer...)
}

// A token that has ended and is within the clock skew opens a connection that stays open.
func TestTokensWithinTheClockSkew(t *testing.T) {
	r := guarded(t, func(c *Config) { c.JWTRefresh, c.Tickets = true, 30*time.Second })
	ended := tokenOf(t, "alice", func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-2 * time.Second).Unix() })
	ticket := r.ticket(ended)
	conn, status := r.dial("id=" + r.enter(ticket) + "&access_token=" + ticket)
	if conn == nil {
		t.Fatal(status)
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if err := conn.WriteMessage(1, []byte(shake)); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(3 * time.Second); time.Now().Before(until); { // it is looked at once a second
		if _, message, err := conn.ReadMessage(); err != nil || strings.Contains(string(message), `"type":7`) {
			t.Fatalf("%q, %v", message, err)
		}
	}
}
