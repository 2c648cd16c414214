package endpoint_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

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
