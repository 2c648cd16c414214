package endpoint_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// A hub whose path ends in the name of a part cannot be told from that part. Its negotiation
// says so; one that does not have the part works, and a WebSocket needs no negotiation.
func TestPathThatEndsInThePartOfAHub(t *testing.T) {
	t.Parallel()
	all := endpoint.Options{Events: endpoint.Events{Enabled: true}, EnableAuthenticationRefresh: true, Diagnose: true}
	for path, c := range map[string]struct {
		options endpoint.Options
		refused bool
	}{
		"/events":           {all, true},
		"/api/Events":       {all, true},
		"/refresh":          {all, true},
		"/api/diagnose":     {all, true},
		"/negotiate":        {endpoint.Options{}, true},
		"/carillon.js":      {endpoint.Options{}, true},
		"/api/events":       {endpoint.Options{}, false},
		"/api/refresh":      {endpoint.Options{}, false},
		"/api/diagnose/":    {endpoint.Options{}, false},
		"/events/hub":       {all, false},
		"/api/eventsource":  {all, false},
		"/api/my-negotiate": {all, false},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			c.options.Options = transports.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
			e := endpoint.New(hub.New(hub.Options{}), c.options)
			server := httptest.NewServer(e)
			defer server.Close()
			defer end(t, e)
			for range 2 {
				response, err := server.Client().Post(server.URL+strings.TrimSuffix(path, "/")+"/negotiate?negotiateVersion=1", "", nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if err != nil || response.StatusCode != http.StatusOK || strings.HasPrefix(string(body), `{"error":"The path of the hub must not end in '`) != c.refused {
					t.Errorf("%s %s %v", response.Status, body, err)
				}
			}
			if n := strings.Count(log.String(), "hub path not usable"); n == 1 != c.refused {
				t.Errorf("said %d times:\n%s", n, &log)
			}
			if strings.HasSuffix(path, "/negotiate") {
				return // where it was never served
			}
			conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			_ = conn.Close()
		})
	}
}
