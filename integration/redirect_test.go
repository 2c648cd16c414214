package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/serviceclient"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// application redirects its clients to a service.
type application struct {
	*httptest.Server
	service *httptest.Server
	keys    *accesskey.Keys
	cookies atomic.Int64 // the requests to the service that had a cookie
}

// startApplication starts an application, and its service with the hub chat, whose method Who
// answers with the user, the transport and the number of the cookies. The service allows the
// pages of the origins, and of every origin if there is none.
func startApplication(t *testing.T, origins ...string) *application {
	t.Helper()
	keys, err := accesskey.Parse([]string{accesskey.New()}, nil, accesskey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := hosting.New("chat", hosting.Options{Invoke: []string{"*"}})
	h.Hub.Handle("Who", hub.Func0(func(ctx context.Context) (string, error) {
		c := hub.CallerFrom(ctx)
		return fmt.Sprintf("%s by %s, %d cookies", c.UserID(), c.Transport(), len(c.Request().Cookies())), nil
	}))
	h.SetKeys(keys)
	e := serviceclient.New(h, endpoint.Options{Options: transports.Options{AllowedOrigins: origins}}, nil)
	a := &application{keys: keys}
	serve := serviceclient.Handler(func(string) *serviceclient.Endpoint { return e })
	a.service = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Cookies()) > 0 {
			a.cookies.Add(1)
		}
		serve.ServeHTTP(w, r)
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "mallory", Path: "/"}) // also for the service, which is at the same host
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>Page</title>"))
	})
	mux.HandleFunc("POST /{kind}/negotiate", func(w http.ResponseWriter, r *http.Request) {
		token, err := a.token(r.PathValue("kind"))
		if err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"url": a.service.URL + "/client/?hub=chat", "accessToken": token})
	})
	a.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		_ = e.Shutdown(context.Background())
		a.service.Close()
		a.Close()
	})
	return a
}

// token returns a token for ann of a kind.
func (a *application) token(kind string) (string, error) {
	g := accesskey.Grant{Audience: "http://127.0.0.1/client/?hub=chat", UserID: "ann", Expires: time.Now().Add(time.Hour)}
	switch kind {
	case "expired":
		g.Expires = time.Now().Add(-time.Hour)
	case "other-hub":
		g.Audience = "http://127.0.0.1/client/?hub=news"
	case "server":
		g.Audience = "http://127.0.0.1/server/?hub=chat"
	case "request":
		g.Audience = "http://127.0.0.1/client/negotiate?hub=chat"
	case "other-key":
		k, err := accesskey.Parse([]string{accesskey.New()}, nil, accesskey.Options{})
		if err != nil {
			return "", err
		}
		return k.Sign(g)
	}
	return a.keys.Sign(g)
}

// The official clients and ours follow the redirect of an application over each transport. In a
// browser the page is of another origin, and its cookies change nothing.
func TestClientsFollowTheRedirect(t *testing.T) {
	t.Parallel()
	a := startApplication(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	foreign := strings.Replace(a.URL, "127.0.0.1", "localhost", 1) // of another site than the service
	for name, env := range map[string][]string{
		"Node":                      {"CHROMIUM="},
		"Chromium":                  {"CHROMIUM=" + clients.FindChromium(t), "PAGE=" + a.URL + "/page"},
		"Chromium, of another site": {"CHROMIUM=" + clients.FindChromium(t), "PAGE=" + foreign + "/page"},
	} {
		at := a.URL
		if name == "Chromium, of another site" {
			at = foreign
		}
		out, err := clients.Node(ctx, t, "redirected.js", append(env, "URL="+at+"/chat")...).Output()
		var got map[string]string
		if err != nil || json.Unmarshal(out, &got) != nil {
			t.Fatalf("%s: %s, %v", name, out, err)
		}
		for _, transport := range signalr.Transports() {
			if want := "ann by " + string(transport) + ", 0 cookies"; got[string(transport)] != want {
				t.Errorf("%s: %s, want %s", name, got[string(transport)], want)
			}
		}
		if sent := a.cookies.Swap(0); (sent > 0) != (name == "Chromium") {
			t.Errorf("%s: %d requests had a cookie", name, sent)
		}
	}
	for _, transport := range signalr.Transports() {
		conn := client.New(a.URL+"/chat", client.Options{Transports: []client.Transport{transport}})
		if err := conn.Start(ctx); err != nil {
			t.Fatal(err)
		}
		if got, err := client.Invoke[string](ctx, conn, "Who"); err != nil || got != "ann by "+string(transport)+", 0 cookies" {
			t.Errorf("our client: %s, %v", got, err)
		}
		if err := conn.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
}

// Where origins are allowed, a page of another origin gets nowhere over any transport.
func TestPagesOfOtherOriginsAreNotRedirected(t *testing.T) {
	t.Parallel()
	a := startApplication(t, "https://only.example")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := clients.Node(ctx, t, "redirected.js", "CHROMIUM="+clients.FindChromium(t), "PAGE="+a.URL+"/page", "URL="+a.URL+"/chat").Output()
	var got map[string]string
	if err != nil || json.Unmarshal(out, &got) != nil || len(got) != 3 {
		t.Fatalf("%s, %v", out, err)
	}
	for transport, text := range got {
		if !strings.Contains(text, "Failed to fetch") {
			t.Errorf("%s: %s", transport, text)
		}
	}
}

// A token that is not for clients of this hub, now, is answered 401 by a negotiation, and by a
// WebSocket and an event stream that come with it.
func TestOtherTokensOfAnApplication(t *testing.T) {
	t.Parallel()
	a := startApplication(t)
	for _, kind := range []string{"expired", "other-hub", "server", "request", "other-key"} {
		conn := client.New(a.URL+"/"+kind, client.Options{})
		if err := conn.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("%s: our client: %v", kind, err)
		}
		token, err := a.token(kind)
		if err != nil {
			t.Fatal(err)
		}
		for accept, websocket := range map[string]bool{"*/*": true, "text/event-stream": false} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.service.URL+"/client/?hub=chat&access_token="+url.QueryEscape(token), nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", accept)
			if websocket {
				r.Header.Set("Connection", "Upgrade")
				r.Header.Set("Upgrade", "websocket")
				r.Header.Set("Sec-WebSocket-Version", "13")
				r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s, %s: %s", kind, accept, response.Status)
			}
		}
	}
}
