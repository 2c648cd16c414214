package endpoint_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/transports"
)

// asked makes each request that a connection has, as a user.
func (s *site) asked(id, user string) map[string]func() (status int, answer string) {
	do := func(method string, header ...string) func() (int, string) {
		return func() (int, string) { return s.do(method, id, user, "", header...) }
	}
	return map[string]func() (int, string){
		"poll":   do(http.MethodGet),
		"post":   do(http.MethodPost),
		"delete": do(http.MethodDelete),
		"stream": do(http.MethodGet, "Accept", "text/event-stream"),
		"websocket": do(http.MethodGet, "Connection", "Upgrade", "Upgrade", "websocket",
			"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
	}
}

// Every request of another user than the connection's is refused, in the original's words,
// whatever transport the connection has. A poll asks for a refresh where there is one.
func TestRequestsOfOtherUsers(t *testing.T) {
	for _, enabled := range []bool{false, true} {
		s := startSite(t, endpoint.Options{EnableAuthenticationRefresh: enabled, Options: transports.Options{AllowStatefulReconnect: true}})
		open := map[string]func(id string){
			"negotiated": func(string) {},
			"poll":       func(id string) { s.do(http.MethodGet, id, "alice", "") },
			"websocket": func(id string) {
				if conn, status := s.dial(id, "alice"); conn == nil {
					t.Fatal(status)
				}
			},
			"stream": func(id string) { s.stream(id, "alice") },
		}
		for state, opens := range open {
			id := "?id=" + s.negotiate("alice").ConnectionToken
			opens(id)
			for _, user := range []string{"mallory", "mallory:1000", "", ":1000"} {
				for name, ask := range s.asked(id, user) {
					wantStatus, wantText := http.StatusForbidden, "The user associated with this connection changed."
					if enabled && state == "poll" && name == "poll" {
						wantStatus, wantText = http.StatusConflict, `{"error":"authentication_refresh_required"}`
					}
					if status, text := ask(); status != wantStatus || text != wantText {
						t.Errorf("refresh %v, a connection that is %s, %s by %q: %d %s", enabled, state, name, user, status, text)
					}
				}
			}
		}
	}
}

// stream opens an event stream and returns its lines.
func (s *site) stream(id, user string) *bufio.Reader {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+id, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+user)
	r.Header.Set("Accept", "text/event-stream")
	response, err := s.http.Do(r)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatal(response, err)
	}
	s.t.Cleanup(func() { _ = response.Body.Close() })
	return bufio.NewReader(response.Body)
}

// result reads until a line has a result.
func result(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if _, text, found := strings.Cut(line, `"result":`); found {
			text, _, _ = strings.Cut(text, "}")
			return text
		}
	}
}

// Fresher credentials of a POST, an event stream or a WebSocket, one that resumes too, change
// nothing: a method sees those of the negotiation, until a refresh.
func TestWhichRequestsChangeTheUser(t *testing.T) {
	s := startSite(t, endpoint.Options{EnableAuthenticationRefresh: true, Options: transports.Options{AllowStatefulReconnect: true}})
	refresh := func(token string) {
		t.Helper()
		if status, answer := s.do(http.MethodPost, "/refresh", "alice:5000", "", connectionToken, token); status != http.StatusOK {
			t.Error(status, answer)
		}
	}
	t.Run("event stream and posts", func(t *testing.T) {
		token := s.negotiate("alice:1000").ConnectionToken
		lines := s.stream("?id="+token, "alice:2000")
		s.do(http.MethodPost, "?id="+token, "alice:3000", shake+"\x1e"+askLife+"\x1e")
		if got := result(t, lines); got != `"1000"` {
			t.Error(got)
		}
		refresh(token)
		s.do(http.MethodPost, "?id="+token, "alice:6000", askLife+"\x1e")
		if got := result(t, lines); got != `"5000"` {
			t.Error(got)
		}
	})
	t.Run("websocket", func(t *testing.T) {
		status, text := s.do(http.MethodPost, "/negotiate?negotiateVersion=1&useStatefulReconnect=true", "alice:1000", "")
		_, rest, _ := strings.Cut(text, `"connectionToken":"`)
		token, _, _ := strings.Cut(rest, `"`)
		dial := func(user string) *websocket.Conn {
			t.Helper()
			conn, status := s.dial("?id="+token, user)
			if conn == nil {
				t.Fatal(status, text)
			}
			return conn
		}
		conn := dial("alice:2000")
		if answer := say(t, conn, strings.Replace(shake, "1", "2", 1)); status != http.StatusOK || answer != "{}" {
			t.Fatal(status, answer)
		}
		if answer := say(t, conn, askLife); !strings.Contains(answer, `"1000"`) {
			t.Error(answer)
		}
		conn = dial("alice:3000") // it resumes
		life := func() (answer string) {
			t.Helper()
			for answer = say(t, conn, askLife); !strings.Contains(answer, "result"); answer = hear(t, conn) {
			}
			for strings.Contains(answer, "\x1e") {
				_, answer, _ = strings.Cut(answer, "\x1e")
			}
			return answer
		}
		if err := conn.WriteMessage(websocket.TextMessage, []byte(`{"type":9,"sequenceId":2}`+"\x1e")); err != nil {
			t.Fatal(err)
		}
		if answer := life(); !strings.Contains(answer, `"1000"`) {
			t.Error(answer)
		}
		refresh(token)
		seen := life()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(seen, `"5000"`) && time.Now().Before(deadline); {
			seen = life() // what was sent again may come first
		}
		if !strings.Contains(seen, `"5000"`) {
			t.Error(seen)
		}
	})
}

// Polls bring fresher credentials by the way, whether there is a refresh or not. Those that
// are no fresher, and those of POSTs, change nothing.
func TestPollsRefresh(t *testing.T) {
	for _, enabled := range []bool{false, true} {
		s := startSite(t, endpoint.Options{EnableAuthenticationRefresh: enabled})
		id := "?id=" + s.negotiate("alice:1000").ConnectionToken
		life := func(user string) string {
			t.Helper()
			s.do(http.MethodPost, id, "alice:9000", askLife+"\x1e")
			got := ""
			for !strings.Contains(got, "result") {
				status, text := s.do(http.MethodGet, id, user, "")
				if got += text; status != http.StatusOK {
					t.Fatal(status, got)
				}
			}
			_, text, _ := strings.Cut(got, `"result":`)
			return text
		}
		s.do(http.MethodGet, id, "alice:1500", "")
		s.do(http.MethodPost, id, "alice:9000", shake+"\x1e")
		if got := life("alice:500"); !strings.HasPrefix(got, `"1500"`) {
			t.Errorf("refresh %v, after a fresher first poll: %s", enabled, got)
		}
		s.do(http.MethodPost, id, "alice:9000", askLife+"\x1e")
		if status, text := s.do(http.MethodGet, id, "alice:2000", ""); status != http.StatusOK {
			t.Fatal(status, text)
		}
		if got := life("alice:500"); !strings.HasPrefix(got, `"2000"`) {
			t.Errorf("refresh %v, after a fresher poll: %s", enabled, got)
		}
	}
}
