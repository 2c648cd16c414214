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
	"github.com/carillon-go/carillon/signalr"
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

func (s *site) negotiate(user string) signalr.Negotiation {
	s.t.Helper()
	status, text := s.do(http.MethodPost, "/negotiate?negotiateVersion=1", user, "")
	var offer signalr.Negotiation
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
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
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
			if name == "poll" {
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
