package endpoint_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

var handshakeHeaders = []string{
	"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
}

func TestOrigins(t *testing.T) {
	allowing := func(origins ...string) *endpoint.Endpoint {
		return endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{AllowedOrigins: origins}})
	}
	status := func(e http.Handler, method, target string, headers ...string) int {
		r := httptest.NewRequest(method, target, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w.Code
	}
	const url = "http://app.example/hub/negotiate"
	e := allowing("https://Friend.example", "http://other.example:80")
	for _, c := range []struct {
		want    int
		headers []string
	}{
		{200, nil},
		{200, []string{"Origin", "http://app.example", "Cookie", "a=b"}},
		{200, []string{"Origin", "http://APP.example:80", "Cookie", "a=b"}},
		{200, []string{"Origin", "https://app.example", "Cookie", "a=b"}}, // a proxy has ended TLS
		{403, []string{"Origin", "http://app.example:8080", "Cookie", "a=b"}},
		{403, []string{"Origin", "https://app.example:80", "Cookie", "a=b"}},
		{403, []string{"Origin", "http://evil.example", "Cookie", "a=b"}},
		{403, []string{"Origin", "http://app.example.evil.example", "Cookie", "a=b"}},
		{403, []string{"Origin", "null", "Cookie", "a=b"}},
		{403, []string{"Origin", "://app.example", "Cookie", "a=b"}},
		{403, []string{"Origin", "http://", "Cookie", "a=b"}},
		{403, []string{"Origin", "http://evil.example", "Authorization", "Bearer x"}},
		{403, []string{"Origin", "http://evil.example", "Cookie", "a=b", "Sec-Fetch-Site", "cross-site"}},
		{403, []string{"Origin", "http://app.example", "Cookie", "a=b", "Sec-Fetch-Site", "cross-site"}},
		{403, []string{"Origin", "http://app.example", "Cookie", "a=b", "X-Forwarded-Proto", "https"}}, // by somebody on the way
		{200, []string{"Origin", "http://changed.example", "Cookie", "a=b", "Sec-Fetch-Site", "same-origin"}},
		{200, []string{"Origin", "http://changed.example", "Cookie", "a=b", "X-Forwarded-Host", "changed.example"}},
		{200, []string{"Origin", "http://evil.example"}}, // nothing of a user's in it
		{200, []string{"Origin", "https://friend.example:443", "Cookie", "a=b"}},
		{200, []string{"Origin", "http://other.example", "Cookie", "a=b"}},
	} {
		if got := status(e, http.MethodPost, url, c.headers...); got != c.want {
			t.Errorf("%q: %d, want %d", c.headers, got, c.want)
		}
	}
	if got := status(e, http.MethodPost, "https://app.example/hub/negotiate", "Origin", "http://app.example", "Cookie", "a=b"); got != 403 {
		t.Errorf("a page without TLS: %d", got)
	}
	if got := status(allowing("*"), http.MethodPost, url, "Origin", "http://evil.example", "Cookie", "a=b"); got != 200 {
		t.Errorf("any: %d", got)
	}
	end(t, e)
}

// The list and the function decide, for requests with credentials, for WebSockets, and for CORS.
func TestOriginsByPatternAndFunction(t *testing.T) {
	t.Parallel()
	e := endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{
		AllowedOrigins: []string{"https://*.friends.example"},
		AllowOrigin:    func(origin string) bool { return origin == "https://tenant.example" },
	}})
	defer end(t, e)
	server := httptest.NewServer(e)
	defer server.Close()
	for origin, allowed := range map[string]bool{
		"https://ann.friends.example":      true,
		"https://friends.example":          false,
		"http://ann.friends.example":       false,
		"https://ann.friends.example:8443": false,
		"https://tenant.example":           true,
		"https://other.example":            false,
	} {
		if got := e.AllowsOrigin(origin); got != allowed {
			t.Errorf("CORS of %s: %t", origin, got)
		}
		for what, c := range map[string]struct {
			method, path string
			headers      []string
			want         int
		}{
			"negotiation": {http.MethodPost, "/echo/negotiate", []string{"Cookie", "a=b"}, 200},
			"WebSocket":   {http.MethodGet, "/echo", handshakeHeaders, 101},
		} {
			want := c.want
			if !allowed {
				want = http.StatusForbidden
			}
			r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Set(c.headers[i], c.headers[i+1])
			}
			r.Header.Set("Origin", origin)
			response, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != want {
				t.Errorf("%s of %s: %s, want %d", what, origin, response.Status, want)
			}
		}
	}
}

// A refused page has a line in the log, without secrets, and so has the request with which a
// browser asks for permission. Few lines are written, however many pages are refused.
func TestRefusedOriginsAreLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	e := endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{
		AllowedOrigins: []string{"https://friend.example"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}})
	defer end(t, e)
	ask := func(method, target string, headers ...string) (lines string) {
		before := log.Len()
		r := httptest.NewRequest(method, target, nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		e.ServeHTTP(httptest.NewRecorder(), r)
		return log.String()[before:]
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/echo/negotiate?negotiateVersion=1", nil))
	var offer signalr.Negotiation
	if err := json.NewDecoder(w.Body).Decode(&offer); err != nil {
		t.Fatal(err)
	}
	const preflight = "Access-Control-Request-Method"
	for _, origin := range []string{"https://evil.example", "https://e\nvil.example level=ERROR", strings.Repeat("e", 10_000)} {
		for _, c := range []struct {
			method, target string
			headers        []string
			want           string
		}{
			{http.MethodPost, "/echo/negotiate?access_token=secret", []string{"Cookie", "secret=secret"}, "path=/echo/negotiate "},
			{http.MethodOptions, "/echo/negotiate", []string{preflight, "POST"}, "path=/echo/negotiate "},
			{http.MethodGet, "/echo?access_token=secret", handshakeHeaders, "path=/echo "},
			{http.MethodGet, "/echo?id=" + offer.ConnectionToken, handshakeHeaders, "connection_id=" + offer.ConnectionID},
		} {
			got := ask(c.method, c.target, append(c.headers, "Origin", origin)...)
			if strings.Count(got, "\n") != 1 || !strings.Contains(got, `level=WARN msg="origin refused" origin=`) || !strings.Contains(got, c.want) ||
				strings.Contains(got, "secret") || strings.Contains(got, offer.ConnectionToken) || len(got) > 600 {
				t.Errorf("%s %s: %q", c.method, c.target, got)
			}
		}
	}
	strict := endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}})
	defer end(t, strict)
	r := httptest.NewRequest(http.MethodOptions, "/strict/negotiate", nil)
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set(preflight, "POST")
	if strict.ServeHTTP(httptest.NewRecorder(), r); !strings.Contains(log.String(), "path=/strict/negotiate ") {
		t.Error("no line of an endpoint that allows no origin")
	}
	for _, headers := range [][]string{{preflight, "POST", "Origin", "https://friend.example"}, {"Cookie", "a=b"}} {
		if got := ask(http.MethodOptions, "/echo/negotiate", headers...); got != "" {
			t.Errorf("%q: %s", headers, got)
		}
	}
	before := strings.Count(log.String(), "\n")
	for range 1000 {
		ask(http.MethodPost, "/echo/negotiate", "Cookie", "a=b", "Origin", "https://evil.example")
	}
	if lines := strings.Count(log.String(), "\n") - before; lines > 150 {
		t.Errorf("%d lines", lines)
	}
}

// An entry that cannot match a page is named in the log.
func TestOriginsThatAreNone(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{
		AllowedOrigins: []string{"https://*.right.example", "https://*wrong.example"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}})
	if text := log.String(); !strings.Contains(text, "*wrong.example") || strings.Contains(text, "right") {
		t.Error(text)
	}
}

// A WebSocket brings cookies along and may be read: it needs its own page's origin, or
// the token of a negotiation by the same page.
func TestOriginsOfWebSockets(t *testing.T) {
	e := endpoint.NewRaw(echo{}, endpoint.Options{})
	server := httptest.NewServer(e)
	defer server.Close()
	defer end(t, e)
	do := func(method, url string, headers ...string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		return response
	}
	page := []string{"Origin", "http://page.example"}
	response := do(http.MethodPost, server.URL+"/echo/negotiate?negotiateVersion=1", page...)
	var offer signalr.Negotiation
	if err := json.NewDecoder(response.Body).Decode(&offer); err != nil {
		t.Fatal(err)
	}
	byPage := server.URL + "/echo?id=" + offer.ConnectionToken
	evil := append([]string{"Origin", "http://evil.example"}, handshakeHeaders...)
	for _, c := range []struct {
		url     string
		headers []string
		want    int
	}{
		{server.URL + "/echo", evil, 403},
		{server.URL + "/echo?id=none", evil, 403},
		{open(t, server.URL+"/echo"), evil, 403},
		{byPage, evil, 403},
		{server.URL + "/echo", append(page, handshakeHeaders...), 403},
		{byPage, append(page, handshakeHeaders...), 101},
		{server.URL + "/echo", append([]string{"Origin", server.URL}, handshakeHeaders...), 101},
		{server.URL + "/echo", handshakeHeaders, 101},
	} {
		if got := do(http.MethodGet, c.url, c.headers...).StatusCode; got != c.want {
			t.Errorf("%q: %d, want %d", c.headers[:2], got, c.want)
		}
	}
}

// An authenticator may read cookies, and may ask somebody else about them: it does not see the
// request of a foreign page, not even a WebSocket that skips negotiation.
func TestOriginIsCheckedBeforeTheUser(t *testing.T) {
	var asked atomic.Int32
	e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{Authenticator: auth.Func(func(*http.Request) (*auth.User, error) {
		asked.Add(1)
		return &auth.User{}, nil
	})})
	defer end(t, e)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r := httptest.NewRequest(method, "/chat", nil)
		for i := 0; i < len(handshakeHeaders); i += 2 {
			r.Header.Set(handshakeHeaders[i], handshakeHeaders[i+1])
		}
		if method == http.MethodPost {
			r = httptest.NewRequest(method, "/chat/negotiate", nil)
		}
		r.Header.Set("Origin", "http://evil.example")
		r.Header.Set("Cookie", "session=1")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || asked.Load() > 0 {
			t.Errorf("%s: %d, the authenticator was asked %d times", method, w.Code, asked.Load())
		}
	}
}
