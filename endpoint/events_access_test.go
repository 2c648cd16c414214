package endpoint_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// forMembers starts a server where whoever has a token may enter, but for eve.
func forMembers(s *httptest.Server) {
	policy := func(_ context.Context, u *auth.User) error {
		if u.ID == "eve" {
			return auth.ErrForbidden
		}
		return nil
	}
	s.Config.Handler = auth.Middleware(auth.Func(byName), auth.Require(policy, s.Config.Handler))
	s.Start()
}

// EventSource sets no headers: its token stands in the query.
var eventSource = []string{"Accept", "text/event-stream"}

func TestEventsForUsers(t *testing.T) {
	server, _, h, came := listenable(t, endpoint.Options{Events: endpoint.Events{Enabled: true}}, forMembers)
	for _, c := range []struct {
		query  string
		header []string
		want   int
	}{
		{"", nil, 401},
		{"", []string{"Authorization", "Bearer eve"}, 403},
		{"?access_token=eve", eventSource, 403},
		{"?access_token=ann", nil, 401}, // whoever can set a header is to use it
		{"?access_token=ann", eventSource, 200},
		{"", []string{"Authorization", "Bearer ann"}, 200},
	} {
		response := listen(t, server, c.query, c.header...)
		if response.StatusCode != c.want {
			t.Errorf("%q, %q: %s", c.query, c.header, response.Status)
		}
		if c.want != 200 {
			continue
		}
		<-came
		tell(t, h.Clients().User("bob"), 1)
		tell(t, h.Clients().User("ann"), 2)
		if got, _ := until(t, response.Body, "[2]"); strings.Contains(got, "[1]") {
			t.Errorf("what was another's: %q", got)
		}
	}
}

// A stream ends in order with the token that opened it: EventSource comes back.
func TestEventsEndWithTheirToken(t *testing.T) {
	o := endpoint.Options{Events: endpoint.Events{Enabled: true}, CloseOnAuthenticationExpiration: true}
	server, _, _, _ := listenable(t, o, forMembers)
	response := listen(t, server, "?access_token=ann:1", eventSource...)
	if _, err := io.ReadAll(response.Body); err != nil {
		t.Error(err)
	}
}

func TestEventsOfForeignPages(t *testing.T) {
	o := endpoint.Options{Events: endpoint.Events{Enabled: true}, Options: transports.Options{AllowedOrigins: []string{"https://friend.example"}}}
	server, _, _, _ := listenable(t, o, (*httptest.Server).Start)
	for origin, want := range map[string]int{server.URL: 200, "https://friend.example": 200, "https://evil.example": 403} {
		if got := listen(t, server, "", "Origin", origin, "Cookie", "a=b").StatusCode; got != want {
			t.Errorf("%s: %d", origin, got)
		}
	}
}

// isPutOff reads an answer, which has to be a whole event stream that says when to come back.
func isPutOff(t *testing.T, response *http.Response) bool {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode == http.StatusOK && response.Header.Get("Content-Type") == "text/event-stream" &&
		string(body) == ":\r\nretry: 5000\r\n\r\n"
}

// An EventSource comes back only after an answer of status 200.
func TestEventsAreLimited(t *testing.T) {
	for name, limits := range map[string]transports.Limits{
		"in all":        {Connections: 1},
		"of a user":     {ConnectionsPerUser: 1},
		"of an address": {ConnectionsPerAddress: 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := endpoint.Options{Events: endpoint.Events{Enabled: true}, Options: transports.Options{Limits: limits}}
			server, e, _, _ := listenable(t, o, forMembers)
			ann := []string{"Authorization", "Bearer ann"}
			for range 2 { // who has left is not counted
				first := listen(t, server, "", ann...)
				if refused := listen(t, server, "", ann...); first.StatusCode != 200 || !isPutOff(t, refused) {
					t.Error(first.Status, refused.Status, refused.Header)
				}
				_ = first.Body.Close()
				awaitConnections(e, 0)
			}
		})
	}
}

// A listener that comes while the server shuts down, or later, comes back; the hub's other
// clients are told the status.
func TestEventsWhileTheServerEnds(t *testing.T) {
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			server, e, _, _ := listenable(t, endpoint.Options{Events: endpoint.Events{Enabled: true}}, start)
			for step, end := range []func(){e.Drain, func() { _ = e.Shutdown(t.Context()) }} {
				end()
				if response := listen(t, server, ""); !isPutOff(t, response) {
					t.Error(step, response.Status, response.Header)
				}
				response, err := server.Client().Post(server.URL+"/chat/negotiate", "", nil)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if response.StatusCode != http.StatusServiceUnavailable {
					t.Error(step, response.Status)
				}
			}
		})
	}
}

// Whoever names a group gets nothing of it that the hub does not let them hear.
func TestEventsOfGroups(t *testing.T) {
	for name, groups := range map[string]func(*http.Request) []string{
		"none": nil,
		"some": func(r *http.Request) []string {
			return slices.DeleteFunc(byQuery(r), func(name string) bool { return name != "open" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := endpoint.Options{Events: endpoint.Events{Enabled: true, Groups: groups, History: 10}}
			server, _, h, came := listenable(t, o, (*httptest.Server).Start)
			response := listen(t, server, "?group=open&group=closed")
			<-came
			tell(t, h.Clients().Group("closed"), 1)
			tell(t, h.Clients().Group("open"), 2)
			tell(t, h.Clients().All(), 3)
			got, epoch := until(t, response.Body, "[3]")
			missed, _ := until(t, listen(t, server, "?group=open&group=closed", "Last-Event-ID", epoch+"-0").Body, "-3")
			for _, text := range []string{got, missed} {
				if strings.Contains(text, "[1]") || strings.Contains(text, "[2]") != (groups != nil) {
					t.Errorf("%q", text)
				}
			}
		})
	}
}

// Who stops reading loses its stream when its queue is full; nobody else notices.
func TestEventsForOneWhoDoesNotRead(t *testing.T) {
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			o := endpoint.Options{Events: endpoint.Events{Enabled: true}, Options: transports.Options{MaxQueueBytes: 256 << 10}}
			server, _, h, came := listenable(t, o, start)
			gone := make(chan error, 2)
			h.OnDisconnected(func(_ context.Context, cause error) { gone <- cause })
			reading := listen(t, server, "").Body
			until(t, reading, "retry: 2000")
			<-came
			listen(t, server, "")
			<-came
			text := strings.Repeat("x", 64<<10)
			event := make([]byte, len("event: Tell\r\ndata: [\"\"]\r\n\r\n")+len(text))
			for len(gone) == 0 {
				if err := h.Clients().All().Send(t.Context(), "Tell", text); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(reading, event); err != nil {
					t.Fatal(err)
				}
			}
			if cause := <-gone; !errors.Is(cause, hub.ErrSlowConsumer) {
				t.Error(cause)
			}
		})
	}
}

// A URL has room for thousands of groups, each of which takes memory: a listener is in at most 100.
func TestEventsOfManyGroups(t *testing.T) {
	server, e, _, _ := listenable(t, endpoint.Options{Events: endpoint.Events{Enabled: true, Groups: byQuery}}, (*httptest.Server).Start)
	for n, want := range map[int]int{100: http.StatusOK, 101: http.StatusBadRequest, 2000: http.StatusBadRequest} {
		query := "?a=b"
		for i := range n {
			query += "&group=" + strconv.Itoa(i)
		}
		if response := listen(t, server, query); response.StatusCode != want {
			t.Errorf("%d groups: %s", n, response.Status)
		}
	}
	if n := e.Connections(); n != 1 {
		t.Error(n, "connections")
	}
}
