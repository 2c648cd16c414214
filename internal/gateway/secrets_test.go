package gateway

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"
)

// criticalTokenOf is signed well, but by rules that the server does not know.
func criticalTokenOf(t *testing.T) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"name": "alice", "iss": "issuer", "aud": "clock", "exp": time.Now().Add(time.Hour).Unix()})
	token.Header["crit"] = []string{"exp"}
	text, err := token.SignedString(secretKey)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// badTokens are those that open nothing.
func badTokens(t *testing.T) map[string]string {
	t.Helper()
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := tokenOf(t, "alice", nil)
	claims, _, err := jwt.NewParser().ParseUnverified(good, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, value any) string {
		return tokenOf(t, "alice", func(c jwt.MapClaims) { c[name] = value })
	}
	return map[string]string{
		"expired":         set("exp", time.Now().Add(-time.Hour).Unix()),
		"without expiry":  set("exp", nil),
		"in the future":   set("nbf", time.Now().Add(time.Hour).Unix()),
		"wrong audience":  set("aud", "elsewhere"),
		"wrong issuer":    set("iss", "elsewhere"),
		"critical":        criticalTokenOf(t),
		"wrong key":       signed(t, jwt.SigningMethodHS256, []byte("another secret of more than 32 bytes"), "", claims.Claims),
		"wrong algorithm": signed(t, jwt.SigningMethodRS256, foreign, "", claims.Claims),
		"none":            signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", claims.Claims),
		"truncated":       good[:len(good)-5],
		"garbage":         "garbage-instead-of-a-token",
	}
}

// attempts are all requests that a token may open, against a living connection.
func (r *running) attempts(id, token string) map[string]int {
	r.t.Helper()
	header := []string{"Authorization", "Bearer " + token}
	status := func(method, path, body string, header ...string) int {
		response := r.do(method, path, body, header...)
		if response.StatusCode == http.StatusUnauthorized {
			if body := text(r.t, response); body != "" {
				r.t.Errorf("%s %s: 401 with %q", method, path, body)
			}
		}
		return response.StatusCode
	}
	path := "/hubs/clock?id=" + id
	_, byHeader := r.dial("id="+id, header...)
	_, byQuery := r.dial("id=" + id + "&access_token=" + token)
	own, alone := r.dial("access_token=" + token)
	if own != nil {
		_ = own.Close()
	}
	return map[string]int{
		"negotiate":            status(http.MethodPost, negotiation, "", header...),
		"websocket, header":    byHeader,
		"websocket, query":     byQuery,
		"websocket without id": alone,
		"stream, query":        status(http.MethodGet, path+"&access_token="+token, "", "Accept", "text/event-stream"),
		"poll":                 status(http.MethodGet, path, "", header...),
		"poll, query":          status(http.MethodGet, path+"&access_token="+token, ""),
		"post":                 status(http.MethodPost, path, shake, header...),
		"delete":               status(http.MethodDelete, path, "", header...),
		"refresh":              status(http.MethodPost, "/hubs/clock/refresh", "", append(header, connectionToken, id)...),
		"refresh, query":       status(http.MethodPost, "/hubs/clock/refresh?id="+id, "", header...),
	}
}

// Tokens that are refused, on every transport; connection tokens that are forged,
// replayed or somebody else's; public ids; and nothing of it in the log.
func TestSecretsAreKept(t *testing.T) {
	r := guarded(t, func(c *Config) { c.JWTRefresh = true })
	alice, mallory := tokenOf(t, "alice", nil), tokenOf(t, "mallory", nil)
	id := r.enter(alice)
	secrets := []string{alice, id}
	for name, bad := range badTokens(t) {
		secrets = append(secrets, bad)
		for attempt, status := range r.attempts(id, bad) {
			if status != http.StatusUnauthorized {
				t.Errorf("%s, %s: %d", name, attempt, status)
			}
		}
	}
	others := map[string]string{"another user": mallory, "a user without an ID": tokenOf(t, "", func(c jwt.MapClaims) { delete(c, "name") })}
	for name, token := range others {
		secrets = append(secrets, token)
		for attempt, status := range r.attempts(id, token) {
			want := http.StatusForbidden
			switch attempt {
			case "negotiate":
				want = http.StatusOK
			case "websocket without id":
				want = http.StatusSwitchingProtocols // a connection of their own
			case "poll, query":
				want = http.StatusUnauthorized
			}
			if status != want {
				t.Errorf("%s, %s: %d", name, attempt, status)
			}
		}
	}

	forged := strings.Repeat("A", len(id))
	conn, _ := r.dial("id=" + id + "&access_token=" + alice)
	talk(t, conn)
	for name, c := range map[string]struct {
		id     string
		status int
	}{
		"forged":    {forged, http.StatusNotFound},
		"truncated": {id[:len(id)-1], http.StatusNotFound},
		"in use":    {id, http.StatusConflict},
	} {
		if _, status := r.dial("id=" + c.id + "&access_token=" + alice); status != c.status {
			t.Errorf("%s: %d", name, status)
		}
	}
	renewed := tokenOf(t, "alice", func(c jwt.MapClaims) { c["exp"] = time.Now().Add(2 * time.Hour).Unix() })
	if answer := r.do(http.MethodPost, "/hubs/clock/refresh", "", "Authorization", "Bearer "+renewed, connectionToken, id); answer.StatusCode != http.StatusOK {
		t.Error("refresh:", answer.Status)
	}
	_ = conn.Close()
	r.silent(append(secrets, renewed))
}

// The same with tickets.
func TestTicketsAreKept(t *testing.T) {
	r := guarded(t, func(c *Config) { c.Tickets, c.JWTRefresh = 5*time.Minute, true })
	alice := tokenOf(t, "alice", nil)
	ticket := r.ticket(alice)
	id := r.enter(ticket)
	secrets := []string{alice, ticket, id}
	for attempt, status := range map[string]int{
		"for another":         r.do(http.MethodGet, "/hubs/clock?id="+r.enter(r.ticket(alice)), "", "Authorization", "Bearer "+ticket).StatusCode,
		"forged":              r.do(http.MethodGet, "/hubs/clock?id="+id, "", "Authorization", "Bearer ticket.AAAAAAAAAAAAAAAA").StatusCode,
		"a token in the URL":  r.do(http.MethodGet, "/hubs/clock?id="+id+"&access_token="+alice, "", "Accept", "text/event-stream").StatusCode,
		"without negotiation": r.do(http.MethodGet, "/hubs/clock?access_token="+r.ticket(alice), "", "Accept", "text/event-stream").StatusCode,
	} {
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d", attempt, status)
		}
	}
	// The attempts may have taken longer than a connection waits to be opened.
	ticket = r.ticket(alice)
	id = r.enter(ticket)
	conn, status := r.dial("id=" + id + "&access_token=" + ticket)
	if conn == nil {
		t.Fatal(status)
	}
	talk(t, conn)
	if answer := r.do(http.MethodPost, negotiation, "", "Authorization", "Bearer "+ticket); answer.StatusCode != http.StatusUnauthorized {
		t.Error("negotiated beside its connection:", answer.Status)
	}
	if answer := r.do(http.MethodPost, "/hubs/clock/refresh", "", "Authorization", "Bearer "+alice, connectionToken, id); answer.StatusCode != http.StatusOK {
		t.Error("refresh:", answer.Status)
	}
	_ = conn.Close()
	r.silent(append(secrets, ticket, id))
}

// ticket negotiates with a token where tickets are handed out.
func (r *running) ticket(token string) string {
	r.t.Helper()
	var o struct{ URL, AccessToken string }
	answer := r.do(http.MethodPost, negotiation, "", "Authorization", "Bearer "+token)
	if err := json.NewDecoder(answer.Body).Decode(&o); err != nil || o.URL != r.url+"/hubs/clock" || o.AccessToken == "" {
		r.t.Fatal(o, err)
	}
	return o.AccessToken
}

// talk shakes hands and hears a tick.
func talk(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	if err := conn.WriteMessage(websocket.TextMessage, []byte(shake)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"{}", `"target":"ShowTime"`} {
		if _, message, err := conn.ReadMessage(); err != nil || !strings.Contains(string(message), want) {
			t.Fatalf("%q, %v", message, err)
		}
	}
}

// silent stops the gateway and looks for secrets, and parts of them, in its log.
func (r *running) silent(secrets []string) {
	r.t.Helper()
	r.stop()
	err := <-r.ended
	r.ended <- err
	log := r.log.String()
	for _, secret := range secrets {
		for _, part := range append(strings.Split(secret, "."), secret) {
			if len(part) > 8 && strings.Contains(log, part) {
				r.t.Errorf("%q is in the log", part)
			}
		}
	}
	if !strings.Contains(log, `reason="The token `) && !strings.Contains(log, `reason="The ticket `) && !strings.Contains(log, `reason="no token"`) {
		r.t.Error("the log does not say why requests were refused")
	}
	if !strings.Contains(log, "access_token=***") || !strings.Contains(log, "level=DEBUG") {
		r.t.Error("the log has not seen the requests")
	}
}

// In version 0 of negotiation, and without one, a connection's id opens it: it is in no line of
// the log, at whatever level, of whatever befalls the connection.
func TestIDsThatOpenAreNotLogged(t *testing.T) {
	r := start(t, nil)
	var ids []string
	negotiate := func() string {
		var o struct{ ConnectionID string }
		if err := json.NewDecoder(r.do(http.MethodPost, "/hubs/clock/negotiate", "").Body).Decode(&o); err != nil || o.ConnectionID == "" {
			t.Fatal(o, err)
		}
		ids = append(ids, o.ConnectionID)
		return "/hubs/clock?id=" + o.ConnectionID
	}
	records := []string{
		shake, `{"type":1,"invocationId":"1","target":"Nothing","arguments":[]}` + "\x1e", `{"type":1,"invocationId":"2","target":"Click","arguments":[1,2,3]}` + "\x1e",
		strings.Repeat(`{"type":1,"target":"Nothing","arguments":[]}`+"\x1e", 11_000), // beyond the limit of invocations
	}
	for _, last := range []string{"garbage\x1e", `{"type":7}` + "\x1e", strings.Repeat("x", 40<<10)} {
		path := negotiate()
		conn, status := r.dial(strings.TrimPrefix(path, "/hubs/clock?"))
		if conn == nil {
			t.Fatal(status)
		}
		for _, record := range append(records, last) {
			_ = conn.WriteMessage(websocket.TextMessage, []byte(record))
		}
		for err := error(nil); err == nil; _, _, err = conn.ReadMessage() {
		}
		path = negotiate()
		stream := r.do(http.MethodGet, path, "", "Accept", "text/event-stream")
		poll := negotiate()
		r.do(http.MethodGet, poll, "")
		for _, record := range append(records, last) {
			r.do(http.MethodPost, path, record)
			r.do(http.MethodPost, poll, record)
		}
		_ = stream.Body.Close()
		r.do(http.MethodGet, poll, "")
		r.do(http.MethodDelete, poll, "")
	}
	r.stop()
	err := <-r.ended
	r.ended <- err
	log := r.log.String()
	for _, id := range ids {
		if strings.Contains(log, id) {
			t.Errorf("%s is in the log", id)
		}
	}
	for _, want := range []string{"connection_id=sha256:", "limit reached", "invocation refused"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q", want)
		}
	}
}
