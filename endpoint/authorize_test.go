package endpoint_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/connection"
)

// A policy is asked once about each request. Another process that forwards one may have other
// policies, so then the connection is asked about.
func TestAPolicyIsAskedOnce(t *testing.T) {
	var asked atomic.Int32
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents} {
		h := hub.New(hub.Options{Authorize: []auth.Policy{func(context.Context, *auth.User) error {
			asked.Add(1)
			return nil
		}}})
		n := &node{town: &town{}, name: "here"}
		n.town.nodes = map[string]*node{n.name: n}
		e := endpoint.New(h, endpoint.Options{Authenticator: auth.Func(byName), Cluster: n})
		for _, forwards := range []bool{false, true} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				isNegotiation := strings.HasSuffix(r.URL.Path, "/negotiate")
				if isNegotiation || !forwards && r.Method == http.MethodGet { // never a POST, of which there may be several
					e.ServeHTTP(w, r)
					return
				}
				user, _ := byName(r)
				n.local.ServeHTTP(w, r.WithContext(connection.WithForwarded(auth.WithUser(r.Context(), user))))
			}))
			asked.Store(0)
			c := client.New(server.URL+"/chat", client.Options{
				Transports: []client.Transport{transport}, Memory: client.NewMemory(),
				AccessToken: func(context.Context) (string, error) { return "ann", nil },
			})
			if err := c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := asked.Load(); n != 2 { // about the negotiation, and about the GET or its connection
				t.Errorf("%s, forwarded %v: asked %d times", transport, forwards, n)
			}
			if err := c.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			server.Close()
		}
		end(t, e)
	}
}

// A hub decides about all requests that reach it. What everybody may read stays open.
func TestAHubAuthorizesRequests(t *testing.T) {
	not := func(id string) auth.Policy {
		return func(_ context.Context, u *auth.User) error {
			if u.ID == id {
				return auth.ErrForbidden
			}
			return nil
		}
	}
	h := hub.New(hub.Options{Authorize: []auth.Policy{auth.Authenticated, not("eve"), not("mallory")}})
	e := endpoint.New(h, endpoint.Options{
		Contract: []byte("{}"), EnableAuthenticationRefresh: true, Diagnose: true, Events: endpoint.Events{Enabled: true},
	})
	defer func() { _ = e.Shutdown(t.Context()) }()
	guarded := auth.Middleware(auth.Func(byName), e)
	for _, c := range []struct {
		method, path string
		open         bool
	}{
		{"POST", "/chat/negotiate?negotiateVersion=1", false},
		{"GET", "/chat/negotiate", false},
		{"GET", "/chat", false},
		{"PUT", "/chat", false},
		{"DELETE", "/chat?id=x", false},
		{"POST", "/chat/refresh", false},
		{"GET", "/chat/events", false},
		{"GET", "/chat/contract.json", false},
		{"HEAD", "/chat/events", false},
		{"GET", "/chat/events/", false},
		{"POST", "/chat/EVENTS", false},
		{"HEAD", "/chat/contract.json", false},
		{"GET", "/chat/CONTRACT.json", false},
		{"OPTIONS", "/chat/contract.json/", false},
		{"GET", "/chat/diagnose/contract.json", false},
		{"GET", "/chat/carillon.js/negotiate", false},
		{"GET", "/chat/Carillon.js", false},
		{"CONNECT", "/chat/diagnose/x", false},
		{"GET", "/chat/diagnose", true},
		{"GET", "/chat/Diagnose/", true},
		{"GET", "/chat/negotiate/carillon.js", true},
	} {
		for name, want := range map[string]int{"": 401, "eve": 403, "mallory": 403, "ann": 0} {
			if c.open {
				want = 200
			}
			r := httptest.NewRequest(c.method, c.path, nil)
			if name != "" {
				r.Header.Set("Authorization", "Bearer "+name)
			}
			w := httptest.NewRecorder()
			if name == "ann" && strings.HasPrefix(c.path, "/chat/events") {
				continue // it would not end
			}
			guarded.ServeHTTP(w, r)
			challenged := w.Header().Get("WWW-Authenticate") == "Bearer"
			if want == 0 && (w.Code == 401 || w.Code == 403) || want != 0 && w.Code != want || challenged != (w.Code == 401) || w.Code > 400 && want != 0 && w.Body.Len() > 0 {
				t.Errorf("%s %s as %q: %d %q, want %d", c.method, c.path, name, w.Code, w.Body, want)
			}
		}
	}
	unmapped := endpoint.New(h, endpoint.Options{})
	w := httptest.NewRecorder()
	if unmapped.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/chat/refresh", nil)); w.Code != 404 {
		t.Errorf("a refresh that is not served: %d", w.Code)
	}
}
