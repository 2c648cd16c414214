package endpoint_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// startHeads serves a hub under HTTP/1.1 and, with TLS, HTTP/2, in a server with net/http's
// own limits.
func startHeads(t *testing.T, secure bool, limits transports.Limits) (*endpoint.Endpoint, *httptest.Server) {
	t.Helper()
	e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{
		Options: transports.Options{Limits: limits}, Events: endpoint.Events{Enabled: true}, EnableAuthenticationRefresh: true,
	})
	s := httptest.NewUnstartedServer(auth.Middleware(auth.Func(byName), e))
	s.EnableHTTP2 = true
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Log(err)
		}
		s.Close()
	})
	return e, s
}

// upgrade are the headers of a WebSocket handshake.
var upgrade = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="}}

// Whatever makes the head of a request long, and whatever the request is for, it is refused
// before anything of it is kept, as the original's server refuses it.
func TestLongHeads(t *testing.T) {
	t.Parallel()
	e, s := startHeads(t, false, transports.Limits{})
	requests := map[string]*http.Request{}
	add := func(name, method, path string, header http.Header) {
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/hub"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != nil {
			r.Header = header.Clone()
		}
		requests[name] = r
	}
	add("negotiation", http.MethodPost, "/negotiate?negotiateVersion=1", nil)
	add("WebSocket", http.MethodGet, "?a=b", upgrade)
	add("event stream", http.MethodGet, "?id=x", http.Header{"Accept": {"text/event-stream"}})
	add("listener", http.MethodGet, "/events?a=b", nil)
	add("poll", http.MethodGet, "?id=x", nil)
	add("POST", http.MethodPost, "?id=x", nil)
	add("DELETE", http.MethodDelete, "?id=x", nil)
	add("refresh", http.MethodPost, "/refresh?id=x", nil)
	lengths := map[string]func(r *http.Request){
		"long value":  func(r *http.Request) { r.Header.Set("X-Long", strings.Repeat("x", 32<<10)) },
		"long cookie": func(r *http.Request) { r.Header.Set("Cookie", "a="+strings.Repeat("x", 32<<10)) },
		"long name":   func(r *http.Request) { r.Header.Set("X-"+strings.Repeat("x", 32<<10), "") },
		"long query":  func(r *http.Request) { r.URL.RawQuery += "&x=" + strings.Repeat("x", 32<<10) },
		"long host":   func(r *http.Request) { r.Host = strings.Repeat("x", 32<<10) },
		"long origin": func(r *http.Request) { r.Header.Set("Origin", "http://"+strings.Repeat("x", 32<<10)) },
		"many lines":  func(r *http.Request) { r.Header["X"] = slicesRepeat("", 101) },
		"many names": func(r *http.Request) {
			for i := range 101 {
				r.Header.Set(fmt.Sprint("X-", i), "")
			}
		},
	}
	for name, request := range requests {
		for length, lengthen := range lengths {
			if length == "long origin" && name == "WebSocket" {
				continue // it is another page's
			}
			r := request.Clone(t.Context())
			lengthen(r)
			response, err := s.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge || response.ContentLength != 0 || !response.Close {
				t.Errorf("%s with a %s: %s, %d bytes, close %t", name, length, response.Status, response.ContentLength, response.Close)
			}
		}
	}
	if n := e.Connections(); n != 0 {
		t.Error(n, "connections")
	}
	if n := e.Refusals().Heads; n != uint64(len(requests)*len(lengths)-1) {
		t.Error(n, "refusals")
	}
	long := requests["negotiation"].Clone(t.Context())
	for i := range 90 {
		long.Header.Set(fmt.Sprint("X-", i), strings.Repeat("x", 320))
	}
	if response, err := s.Client().Do(long); err != nil || response.StatusCode != http.StatusOK {
		t.Error("a head of 31 KiB:", response, err)
	}
}

// What an entry of HTTP/2's header table stands for counts each time that it is referenced.
func TestHeadsOfHTTP2(t *testing.T) {
	t.Parallel()
	e, s := startHeads(t, true, transports.Limits{})
	listen := func(times int) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/hub/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["X"] = slicesRepeat(strings.Repeat("a", 3800), times)
		response, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		if response.ProtoMajor != 2 {
			t.Fatal(response.Proto)
		}
		return response
	}
	for range 50 {
		if response := listen(90); response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Fatal(response.Status)
		}
	}
	if n := e.Connections(); n != 0 {
		t.Error(n, "connections")
	}
	for range 50 {
		if response := listen(7); response.StatusCode != http.StatusOK {
			t.Fatal(response.Status)
		}
	}
	if n := e.HeadBytes(); n < 50*7*3800 || n > 50<<15 {
		t.Error(n, "bytes are kept")
	}
}

// All connections together keep no more of their requests than the limit, and what one has
// kept is free when it has ended.
func TestHeadsTogether(t *testing.T) {
	t.Parallel()
	e, s := startHeads(t, false, transports.Limits{HeadBytes: 40 << 10})
	connect := func(kind string) (*http.Response, func()) {
		r := httptest.NewRequest(http.MethodPost, "/hub/negotiate?negotiateVersion=1", nil)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		_, token, _ := strings.Cut(w.Body.String(), `"connectionToken":"`)
		token, _, _ = strings.Cut(token, `"`)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/hub?id="+token, nil)
		if err != nil {
			t.Fatal(err)
		}
		switch kind {
		case "WebSockets":
			r.Header = upgrade.Clone()
		case "ServerSentEvents":
			r.Header.Set("Accept", "text/event-stream")
		case "listener":
			r.URL.Path += "/events"
		}
		r.Header.Set("X-Long", strings.Repeat("x", 25<<10))
		response, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return response, func() {
			_ = response.Body.Close()
			if kind == "LongPolling" {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.URL+"/hub?id="+token, nil)
				if err != nil {
					t.Fatal(err)
				}
				if response, err := s.Client().Do(r); err != nil || response.StatusCode != http.StatusAccepted {
					t.Error(response, err)
				}
			}
		}
	}
	for i, kind := range []string{"WebSockets", "ServerSentEvents", "listener", "LongPolling"} {
		opened, end := connect(kind)
		if opened.StatusCode >= 300 {
			t.Fatal(kind, opened.Status)
		}
		for n := range 2 {
			refused, _ := connect(kind)
			isRefused := refused.StatusCode == http.StatusServiceUnavailable && refused.Header.Get("Retry-After") != ""
			if kind == "listener" {
				isRefused = isPutOff(t, refused)
			}
			_ = refused.Body.Close()
			if !isRefused {
				t.Error(kind, refused.Status)
			}
			if got := e.Refusals().Heads; got != uint64(2*i+n+1) {
				t.Error(kind, got, "refusals")
			}
		}
		if n := e.HeadBytes(); n < 25<<10 || n > 27<<10 {
			t.Error(kind, n, "bytes are kept")
		}
		end()
		for deadline := time.Now().Add(time.Minute); e.HeadBytes() > 0; time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // the end has no event
			if time.Now().After(deadline) {
				t.Fatal(kind, e.HeadBytes(), "bytes are kept of nothing")
			}
		}
	}
}
