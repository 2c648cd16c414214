package endpoint_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/negotiate"
)

// byName takes the word behind Bearer, in the header or the query, for the user's
// name; a number behind it is for how many seconds that is good.
func byName(r *http.Request) (*auth.User, error) {
	text, _ := auth.Token(r)
	if text == "" {
		return nil, nil
	}
	name, seconds, _ := strings.Cut(text, ":")
	user := &auth.User{ID: name, Claims: map[string]any{"seconds": seconds}}
	if life, err := time.ParseDuration(seconds + "s"); err == nil {
		user.Expires = time.Now().Add(life)
	}
	return user, nil
}

// site is a hub behind authentication.
type site struct {
	t    *testing.T
	url  string
	http *http.Client
}

func startSite(t *testing.T, o endpoint.Options) *site {
	t.Helper()
	h := hub.New(hub.Options{})
	h.Handle("Life", hub.Func0(func(ctx context.Context) (any, error) {
		return hub.CallerFrom(ctx).User().Claims["seconds"], nil
	}))
	e := endpoint.New(h, o)
	server := httptest.NewServer(auth.Middleware(auth.Func(byName), e))
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Shutdown(ctx) // cuts what the test left
		server.Close()
	})
	return &site{t, server.URL + "/hub", server.Client()}
}

// do makes a request as a user; "" is nobody.
func (s *site) do(method, rest, user, body string, header ...string) (status int, answer string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+rest, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if user != "" {
		r.Header.Set("Authorization", "Bearer "+user)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (s *site) negotiate(user string) negotiate.Response {
	s.t.Helper()
	status, text := s.do(http.MethodPost, "/negotiate?negotiateVersion=1", user, "")
	var offer negotiate.Response
	if err := json.Unmarshal([]byte(text), &offer); err != nil || status != http.StatusOK {
		s.t.Fatal(status, text, err)
	}
	return offer
}

// dial opens a WebSocket; conn is nil if it was refused.
func (s *site) dial(query, user string) (conn *websocket.Conn, status int) {
	s.t.Helper()
	header := http.Header{}
	if user != "" {
		header.Set("Authorization", "Bearer "+user)
	}
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.url, "http")+query, header)
	if response == nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	if conn != nil {
		s.t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	}
	return conn, response.StatusCode
}

func say(t *testing.T, conn *websocket.Conn, record string) (answer string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(record+"\x1e")); err != nil {
		t.Fatal(err)
	}
	return hear(t, conn)
}

func hear(t *testing.T, conn *websocket.Conn) string {
	t.Helper()
	_, answer, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(answer), "\x1e")
}

const (
	shake   = `{"protocol":"json","version":1}`
	askLife = `{"type":1,"invocationId":"0","target":"Life","arguments":[]}`
)

// Who knows a connection's token and is somebody else, or nobody, gets nowhere with it;
// nor does anybody with its public id.
func TestConnectionsHaveOneUser(t *testing.T) {
	s := startSite(t, endpoint.Options{})
	requests := map[string]func(id, user string) int{
		"websocket": func(id, user string) int { _, status := s.dial("?id="+id, user); return status },
		"stream": func(id, user string) int {
			status, _ := s.do(http.MethodGet, "?id="+id, user, "", "Accept", "text/event-stream")
			return status
		},
		"poll": func(id, user string) int { status, _ := s.do(http.MethodGet, "?id="+id, user, ""); return status },
		"post": func(id, user string) int {
			status, _ := s.do(http.MethodPost, "?id="+id, user, shake+"\x1e")
			return status
		},
		"delete": func(id, user string) int { status, _ := s.do(http.MethodDelete, "?id="+id, user, ""); return status },
	}
	for name, request := range requests {
		t.Run(name, func(t *testing.T) {
			offer := s.negotiate("alice")
			anonymous := s.negotiate("")
			for _, user := range []string{"mallory", ""} {
				if status := request(offer.ConnectionToken, user); status != http.StatusForbidden {
					t.Errorf("%q with the token of another: %d", user, status)
				}
				if status := request(offer.ConnectionID, user); status != http.StatusNotFound {
					t.Errorf("%q with a public id: %d", user, status)
				}
			}
			if status := request(anonymous.ConnectionToken, "victim"); status != http.StatusForbidden {
				t.Errorf("a user in a connection that was prepared for them: %d", status)
			}
			if status := request(offer.ConnectionToken[1:]+"A", "alice"); status != http.StatusNotFound {
				t.Errorf("a forged token: %d", status)
			}
			if name == "poll" || name == "post" {
				if status := request(offer.ConnectionToken, "alice"); status != http.StatusOK {
					t.Errorf("the user himself: %d", status)
				}
			}
		})
	}
}

// A token that was used up opens nothing any more.
func TestReplayedConnectionToken(t *testing.T) {
	s := startSite(t, endpoint.Options{})
	id := s.negotiate("alice").ConnectionToken
	conn, status := s.dial("?id="+id, "alice")
	if conn == nil {
		t.Fatal(status)
	}
	if _, status := s.dial("?id="+id, "alice"); status != http.StatusConflict {
		t.Errorf("beside the first: %d", status)
	}
	if answer := say(t, conn, shake); answer != "{}" {
		t.Error(answer)
	}
	if err := conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")); err != nil {
		t.Fatal(err)
	}
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			break
		}
	}
	status = http.StatusConflict
	for status == http.StatusConflict { // the server is about to see the end
		_, status = s.dial("?id="+id, "alice")
	}
	if status != http.StatusNotFound {
		t.Errorf("after the end: %d", status)
	}
}

func TestRefresh(t *testing.T) {
	s := startSite(t, endpoint.Options{EnableAuthenticationRefresh: true, CloseOnAuthenticationExpiration: true})
	if offer := s.negotiate("alice"); offer.TokenLifetimeSeconds != 0 {
		t.Error("a lifetime of credentials that are good for ever:", offer.TokenLifetimeSeconds)
	}
	offer := s.negotiate("alice:2.5")
	if offer.TokenLifetimeSeconds < 1 || offer.TokenLifetimeSeconds > 2 {
		t.Error("a lifetime of", offer.TokenLifetimeSeconds)
	}
	conn, status := s.dial("?id="+offer.ConnectionToken, "alice:2.5")
	if conn == nil {
		t.Fatal(status)
	}
	say(t, conn, shake)
	old := s.negotiateVersion0("alice")
	for _, c := range []struct {
		method, query, user string
		status              int
		answer              string
	}{
		{http.MethodGet, "?id=" + offer.ConnectionToken, "alice:9.5", 405, ""},
		{http.MethodPost, "", "alice:9.5", 400, `{"error":"missing_connection_token"}`},
		{http.MethodPost, "?id=" + offer.ConnectionToken, "", 401, `{"error":"invalid_token"}`},
		{http.MethodPost, "?id=" + offer.ConnectionID, "alice:9.5", 404, `{"error":"connection_not_found"}`},
		{http.MethodPost, "?id=" + old, "alice:9.5", 404, `{"error":"connection_not_found"}`},
		{http.MethodPost, "?id=" + offer.ConnectionToken, "mallory:9.5", 403, `{"error":"user_changed"}`},
		{http.MethodPost, "?id=" + offer.ConnectionToken, "alice:1000.5", 200, `{"tokenLifetimeSeconds":1000}`},
	} {
		status, answer := s.do(c.method, "/refresh"+c.query, c.user, "")
		if status != c.status || strings.TrimSpace(answer) != c.answer {
			t.Errorf("%s /refresh%s by %q: %d %s", c.method, c.query, c.user, status, answer)
		}
	}
	if answer := say(t, conn, askLife); answer != `{"type":3,"invocationId":"0","result":"1000.5"}` {
		t.Error("the method does not see the new credentials:", answer)
	}
	// Fresh credentials may be such as end sooner.
	if status, answer := s.do(http.MethodPost, "/refresh?id="+offer.ConnectionToken, "alice:0.1", ""); status != http.StatusOK {
		t.Error(status, answer)
	}
	if answer := hear(t, conn); answer != `{"type":7,"allowReconnect":true}` {
		t.Error(answer)
	}
}

func (s *site) negotiateVersion0(user string) (id string) {
	_, text := s.do(http.MethodPost, "/negotiate", user, "")
	_, rest, _ := strings.Cut(text, `"connectionId":"`)
	id, _, _ = strings.Cut(rest, `"`)
	return id
}

func TestNoRefreshByDefault(t *testing.T) {
	s := startSite(t, endpoint.Options{})
	offer := s.negotiate("alice:100")
	if offer.TokenLifetimeSeconds != 0 {
		t.Error("a lifetime is told")
	}
	// The path is not looked at: it is the endpoint's own, where this is a POST.
	if status, _ := s.do(http.MethodPost, "/refresh?id="+offer.ConnectionToken, "mallory:100", ""); status == http.StatusOK {
		t.Error("somebody else refreshed")
	}
}

// Polls bring fresher credentials by the way.
func TestPollsRefresh(t *testing.T) {
	s := startSite(t, endpoint.Options{CloseOnAuthenticationExpiration: true})
	id := "?id=" + s.negotiate("alice:1000").ConnectionToken
	for _, user := range []string{"alice:1000", "alice:2000", "alice:500"} {
		if user == "alice:1000" {
			s.do(http.MethodGet, id, user, "")
		}
		s.do(http.MethodPost, id, user, "")
	}
	s.do(http.MethodPost, id, "alice:500", shake+"\x1e"+askLife+"\x1e")
	got := ""
	for !strings.Contains(got, "result") {
		status, text := s.do(http.MethodGet, id, "alice:500", "")
		if got += text; status != http.StatusOK {
			t.Fatal(status, got)
		}
	}
	if !strings.Contains(got, `"result":"2000"`) {
		t.Error(got)
	}
}
