package endpoint_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

const page = "https://page.example"

// corsOf returns the headers of CORS of an answer, in the order of their names.
func corsOf(answer *http.Response) string {
	var all []string
	for _, name := range []string{"Allow-Credentials", "Allow-Headers", "Allow-Methods", "Allow-Origin", "Max-Age"} {
		if value := answer.Header.Get("Access-Control-" + name); value != "" {
			all = append(all, name+": "+value)
		}
	}
	if vary := answer.Header.Get("Vary"); vary != "" {
		all = append(all, "Vary: "+vary)
	}
	return strings.Join(all, "; ")
}

// As in ASP.NET Core, a preflight request is answered 204 whatever the origin is, and an origin
// that is not allowed finds no headers. No preflight request carries a token.
func TestPreflights(t *testing.T) {
	t.Parallel()
	const (
		sent    = "authorization,content-type,x-requested-with,x-signalr-user-agent"
		allowed = "Allow-Credentials: true; Allow-Headers: " + sent + "; Allow-Methods: GET,POST,DELETE; Allow-Origin: " + page + "; Max-Age: 7200; Vary: Origin"
		anyone  = "Allow-Headers: " + sent + "; Allow-Methods: GET,POST,DELETE; Allow-Origin: *; Max-Age: 7200"
	)
	h := hub.New(hub.Options{})
	at := func(origins ...string) *endpoint.Endpoint {
		return endpoint.New(h, endpoint.Options{
			Authenticator: auth.Func(func(*http.Request) (*auth.User, error) { return nil, nil }),
			Options:       transports.Options{AllowedOrigins: origins},
		})
	}
	tokens := endpoint.New(h, endpoint.Options{TokensOnly: true, Options: transports.Options{AllowedOrigins: []string{"*"}}})
	decided := endpoint.New(h, endpoint.Options{Options: transports.Options{AllowOrigin: func(origin string) bool { return origin == page }}})
	changed := at("https://before.example")
	changed.SetAllowedOrigins([]string{page})
	mux := http.NewServeMux()
	hubs := endpoint.Mount(mux, endpoint.At{
		"/listed": at("https://other.example", page), "/pattern": at("https://*.example"), "/any": at("*"), "/tokens": tokens, "/none": at(), "/decided": decided, "/changed": changed,
	})
	defer func() { _ = hubs.Shutdown(context.Background()) }()
	preflight := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", sent}
	for _, c := range []struct {
		path, origin string
		status       int
		want         string
	}{
		{"/listed", page, 204, allowed},
		{"/pattern", page, 204, allowed},
		{"/decided", page, 204, allowed},
		{"/changed", page, 204, allowed},
		{"/any", page, 204, anyone},
		{"/any", "null", 204, anyone},
		{"/tokens", page, 204, allowed},
		{"/tokens", "null", 204, strings.Replace(allowed, page, "null", 1)},
		{"/listed", "https://evil.example.com", 204, ""},
		{"/listed", "http://page.example", 204, ""},
		{"/listed", "null", 204, ""},
		{"/changed", "https://before.example", 204, ""},
		{"/none", page, 401, ""},
	} {
		for _, part := range []string{"", "/negotiate"} {
			answer := answerOf(mux, http.MethodOptions, c.path+part, append(preflight, "Origin", c.origin)...)
			if got := corsOf(answer); answer.StatusCode != c.status || got != c.want {
				t.Errorf("%s of %s: %s, %s", c.path+part, c.origin, answer.Status, got)
			}
		}
	}
	for name, headers := range map[string][]string{"no origin": preflight, "no method": {"Origin", page}} {
		if answer := answerOf(mux, http.MethodOptions, "/listed", headers...); answer.StatusCode == http.StatusNoContent {
			t.Errorf("%s: %s", name, answer.Status)
		}
	}
}

// A page of an allowed origin can read every answer, also a refusal. Caches learn that the
// script depends on the origin, even if no page asked for it.
func TestAnswersToOtherOrigins(t *testing.T) {
	t.Parallel()
	const allowed = "Allow-Credentials: true; Allow-Origin: " + page + "; Vary: Origin"
	noMallory := func(_ context.Context, u *auth.User) error {
		if u.ID == "mallory" {
			return auth.ErrForbidden
		}
		return nil
	}
	e := endpoint.New(hub.New(hub.Options{Authorize: []auth.Policy{noMallory}}), endpoint.Options{
		Authenticator: auth.Func(func(r *http.Request) (*auth.User, error) {
			if id := r.Header.Get("Authorization"); id != "" {
				return &auth.User{ID: id}, nil
			}
			return nil, nil
		}),
		Diagnose: true, Contract: []byte("{}"),
		Options: transports.Options{AllowedOrigins: []string{page}},
	})
	defer end(t, e)
	inFront := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "of a middleware")
		e.ServeHTTP(w, r)
	})
	toAny := endpoint.New(hub.New(hub.Options{}), endpoint.Options{Options: transports.Options{AllowedOrigins: []string{"*"}}})
	defer end(t, toAny)
	tokens := endpoint.New(hub.New(hub.Options{}), endpoint.Options{TokensOnly: true, Options: transports.Options{AllowedOrigins: []string{"*"}}})
	defer end(t, tokens)
	ann := []string{"Authorization", "ann"}
	for _, c := range []struct {
		handler      http.Handler
		method, path string
		origin       string
		headers      []string
		status       int
		want         string
	}{
		{e, http.MethodPost, "/chat/negotiate", page, ann, 200, allowed},
		{e, http.MethodPost, "/chat/negotiate", page, nil, 401, allowed},
		{e, http.MethodPost, "/chat/negotiate", page, []string{"Authorization", "mallory"}, 403, allowed},
		{e, http.MethodGet, "/chat?id=none", page, ann, 404, allowed},
		{e, http.MethodGet, "/chat/contract.json", page, ann, 200, allowed},
		{e, http.MethodGet, "/chat/contract.json", page, nil, 401, allowed},
		{e, http.MethodGet, "/chat/carillon.js", page, nil, 200, allowed},
		{e, http.MethodGet, "/chat/diagnose", page, nil, 200, allowed},
		{e, http.MethodGet, "/chat/carillon.js", "", nil, 200, "Vary: Origin"},
		{toAny, http.MethodGet, "/chat/carillon.js", page, nil, 200, "Allow-Origin: *; Vary: Origin"},
		{toAny, http.MethodPost, "/chat/negotiate", page, []string{"Cookie", "a=b"}, 200, "Allow-Origin: *"},
		{tokens, http.MethodPost, "/chat/negotiate", page, []string{"Cookie", "a=b"}, 200, allowed},
		{tokens, http.MethodGet, "/chat/carillon.js", page, nil, 200, allowed},
		{tokens, http.MethodGet, "/chat/carillon.js", "", nil, 200, "Vary: Origin"},
		{toAny, http.MethodGet, "/chat/carillon.js", "", nil, 200, "Vary: Origin"},
		{e, http.MethodPost, "/chat/negotiate", "https://evil.example", nil, 401, ""},
		{e, http.MethodPost, "/chat/negotiate", "https://evil.example", ann, 403, ""},
		{inFront, http.MethodPost, "/chat/negotiate", page, ann, 200, "Allow-Origin: of a middleware"},
	} {
		headers := c.headers
		if c.origin != "" {
			headers = append([]string{"Origin", c.origin}, headers...)
		}
		answer := answerOf(c.handler, c.method, c.path, headers...)
		if got := corsOf(answer); answer.StatusCode != c.status || got != c.want {
			t.Errorf("%s of %q with %q: %s, %s", c.path, c.origin, c.headers, answer.Status, got)
		}
	}
}
