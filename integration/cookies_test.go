package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/signalr"
)

// The cookies of a page of another origin reach the backend that decides who connects, over each transport, if the hub allows
// the origin. Otherwise the browser sends them, too, but the backend is not asked.
func TestCookiesAcrossOrigins(t *testing.T) {
	t.Parallel()
	chromium := "CHROMIUM=" + clients.FindChromium(t)
	backend, asked := startDecider(t)
	allowed, other := startCookiePage(t), startCookiePage(t)
	file := filepath.Join(t.TempDir(), "carillon.yaml")
	text := fmt.Sprintf(`{"hubs": {"chat": {"origins": [%q], "clients": {"connect": {"url": %q, "cookies": ["session"]}},
		"upstream": [{"url": %q, "format": "json"}]}}}`, allowed, backend+"/connect", backend+"/{category}")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url := startServer(t, true, build(t, "../cmd/gateway"), "--config", file).URL() + "/hubs/chat"
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for page, want := range map[string]string{allowed: "ann", other: "Failed to fetch"} {
		out, err := clients.Node(ctx, t, "redirected.js", chromium, "PAGE="+page+"/", "URL="+url).Output()
		var got map[string]string
		if err != nil || json.Unmarshal(out, &got) != nil {
			t.Fatalf("%s, %v", out, err)
		}
		for _, transport := range signalr.Transports() {
			if !strings.Contains(got[string(transport)], want) {
				t.Errorf("%s: %q, want %s", transport, got[string(transport)], want)
			}
		}
		if n := asked.Swap(0); (n == 3) != (page == allowed) || n > 3 {
			t.Errorf("%s: the backend is asked %d times", want, n)
		}
	}
	for accept, path := range map[string]string{"*/*": "", "text/event-stream": "/events"} { // without negotiation
		if status := openAs(t, url+path, accept, other); status != http.StatusForbidden || asked.Load() != 0 {
			t.Errorf("%s: status %d, the backend is asked %d times", accept, status, asked.Load())
		}
		if openAs(t, url+path, accept, allowed); asked.Swap(0) != 1 {
			t.Errorf("%s: the backend is not asked about a page that may connect", accept)
		}
	}
}

// startDecider starts a backend that knows people by their cookie. It answers invocations with their names.
func startDecider(t *testing.T) (url string, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var event struct {
			Cookies      map[string][]string
			InvocationID string
		}
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		switch session := event.Cookies["session"]; {
		case r.URL.Path == "/messages":
			fmt.Fprintf(w, `{"type":3,"invocationId":%q,"result":%q}`, event.InvocationID, r.Header.Get("X-ASRS-User-Id"))
		case r.URL.Path != "/connect":
		case len(session) == 0:
			asked.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			asked.Add(1)
			fmt.Fprintf(w, `{"userId":%q}`, session[0])
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// startCookiePage starts a server with a page and a cookie, which is sent to all ports of its host.
func startCookiePage(t *testing.T) (origin string) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "ann", Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Page</title>")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// openAs opens a WebSocket, or an event stream, as a browser does for a page, and returns the status.
func openAs(t *testing.T, url, accept, origin string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Accept": {accept}, "Origin": {origin}, "Cookie": {"session=ann"}}
	if accept == "*/*" {
		r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
		r.Header["Sec-Websocket-Version"], r.Header["Sec-Websocket-Key"] = []string{"13"}, []string{"dGhlIHNhbXBsZSBub25jZQ=="}
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
