package doctor

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newHub is a hub under examination. It ends with the test.
func newHub(t *testing.T, o endpoint.Options) http.Handler {
	t.Helper()
	e := endpoint.New(hub.New(hub.Options{}), o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return e
}

func serve(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func examine(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Examine(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func codesOf(r *Report) (found []string) {
	for _, f := range r.Findings {
		found = append(found, strings.TrimSuffix(f.Code+" "+f.Transport, " "))
	}
	return found
}

func TestNothingInBetween(t *testing.T) {
	r := examine(t, Options{URL: serve(t, newHub(t, endpoint.Options{})), Idle: 20 * time.Millisecond})
	if r.Verdict != Well || r.Best != WebSockets || len(r.Findings)+len(r.Advice) > 0 {
		t.Errorf("%+v", r)
	}
	for _, x := range r.Transports {
		if !x.Works || x.FirstEvent < x.Connect || x.Delay <= 0 || x.IdleSeconds <= 0 {
			t.Errorf("%+v", x)
		}
	}
}

// What a server does not want is no failure; what it leaves out for this network is.
func TestNotOffered(t *testing.T) {
	only := endpoint.Options{Transports: []transports.Type{transports.ServerSentEvents}}
	if r := examine(t, Options{URL: serve(t, newHub(t, only))}); r.Verdict != Well || r.Best != ServerSentEvents {
		t.Errorf("%s, best by %s, %v", r.Verdict, r.Best, r.Findings)
	}
	ruled := endpoint.Options{Policy: negotiate.PolicyFunc(func(_ *http.Request, o *negotiate.Offer) {
		o.Only([]transports.Type{transports.LongPolling}, "rule for this network")
	})}
	if r := examine(t, Options{URL: serve(t, newHub(t, ruled))}); r.Negotiate.Reason != "rule for this network" {
		t.Errorf("%+v", r.Negotiate)
	}
}

// A server that sends on, to a path and without a token of its own, is followed as clients do it.
func TestSentOn(t *testing.T) {
	h := newHub(t, endpoint.Options{})
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch {
		case q.Header.Get("Authorization") != "Bearer known":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.HasPrefix(q.URL.Path, "/first/"):
			_, _ = io.WriteString(w, `{"url":"/hub"}`)
		default:
			h.ServeHTTP(w, q)
		}
	}))
	if r := examine(t, Options{URL: url + "/first", Token: "known"}); r.Verdict != Well {
		t.Errorf("%+v", r)
	}
}

// A token that the hub refuses is told apart from a missing one.
func TestRefusedToken(t *testing.T) {
	url := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	for token, want := range map[string]string{"": "unauthorized", "expired": "token-refused"} {
		if r := examine(t, Options{URL: url, Token: token}); !slices.Equal(codesOf(r), []string{want}) || len(r.Advice) == 0 {
			t.Errorf("token %q: %v, want %s", token, r.Findings, want)
		}
	}
}

// What a negotiation that fails means.
func TestNothingWorks(t *testing.T) {
	answering := func(status int, media, body string) string {
		return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
	}
	for url, want := range map[string]struct{ code, text string }{
		"http://127.0.0.1:1/":                                 {"unreachable", "connection refused"},
		answering(500, "text/plain", "broken"):                {"unreachable", "500"},
		answering(401, "text/plain", ""):                      {"unauthorized", "401, Bearer"},
		answering(403, "text/html", "<html>"):                 {"forbidden", "403"},
		answering(404, "text/plain", "not here"):              {"no-hub", "404"},
		answering(502, "text/html", "<center>nginx</center>"): {"server-away", "502"},
		answering(200, "text/html; charset=utf-8", "<html>"):  {"answered-by-page", "<html>"},
		answering(200, "application/json", `{"a":1}`):         {"no-hub", `{"a":1}`},
		answering(200, "application/json", `{"error":"no"}`):  {"unreachable", "no"},
	} {
		r := examine(t, Options{URL: url})
		if r.Verdict != Nothing || !slices.Equal(codesOf(r), []string{want.code}) || !strings.Contains(r.Findings[0].Text, want.text) || len(r.Advice) == 0 {
			t.Errorf("%s: %s, %v, want %s", url, r.Verdict, r.Findings, want)
		}
	}
	for _, url := range []string{"ftp://x", "127.0.0.1:80/hub", "hub"} {
		if _, err := Examine(t.Context(), Options{URL: url}); err == nil {
			t.Errorf("%s: no error", url)
		}
	}
}

// What a forward proxy says to CONNECT is told, and who it is.
func TestNoTunnel(t *testing.T) {
	for status, code := range map[int]string{403: "connect-refused", 407: "proxy-auth"} {
		proxy, err := url.Parse(serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "squid/5.7")
			w.WriteHeader(status)
		})))
		if err != nil {
			t.Fatal(err)
		}
		r := examine(t, Options{URL: "https://hub.example/", Proxy: http.ProxyURL(proxy)})
		if !slices.Equal(codesOf(r), []string{code}) || len(r.Boxes) != 1 || r.Boxes[0].Kind != "squid" || len(r.Advice) == 0 {
			t.Errorf("%d: %v %v", status, r.Findings, r.Boxes)
		}
	}
}

func TestUntrustedCertificate(t *testing.T) {
	s := httptest.NewTLSServer(newHub(t, endpoint.Options{}))
	defer s.Close()
	r := examine(t, Options{URL: s.URL})
	if r.Verdict != Nothing || !slices.Equal(codesOf(r), []string{"tls-untrusted"}) || r.TLS.Trusted || !strings.Contains(r.TLS.Issuer, "Acme") {
		t.Errorf("%s %v %+v", r.Verdict, r.Findings, r.TLS)
	}
	if r := examine(t, Options{URL: strings.Replace(s.URL, "127.0.0.1", "localhost", 1)}); !slices.Equal(codesOf(r), []string{"tls-invalid"}) {
		t.Errorf("another name's: %v", r.Findings)
	}
	if r := examine(t, Options{URL: s.URL, InsecureTLS: true}); r.Verdict != Well || r.TLS == nil || r.TLS.Version == "" {
		t.Errorf("%s %v %+v", r.Verdict, r.Findings, r.TLS)
	}
}

// A proxy that loses Accept answers the event stream by something else.
func TestLostAccept(t *testing.T) {
	target, err := url.Parse(serve(t, newHub(t, endpoint.Options{})))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	r := examine(t, Options{URL: serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept")
		w.Header().Set("Via", "1.1 corner (squid/5.7)")
		proxy.ServeHTTP(w, r)
	}))})
	if r.Verdict != Fallback || r.Best != WebSockets || !slices.Equal(codesOf(r), []string{"accept-lost ServerSentEvents"}) {
		t.Errorf("%s, best by %s, %v", r.Verdict, r.Best, r.Findings)
	}
	if !slices.Contains(r.Boxes, Box{Kind: "squid", Evidence: "Via: 1.1 corner (squid/5.7)"}) {
		t.Errorf("%v", r.Boxes)
	}
}

// A stream that comes late without being held has a finding of its own.
func TestDelays(t *testing.T) {
	for late, want := range map[float64]string{20: "", 210: "delayed ServerSentEvents", 900: "buffered ServerSentEvents"} {
		r := &Report{URL: "http://hub/", Boxes: []Box{{Kind: "haproxy"}}, Transports: []*Transport{
			{Name: WebSockets, Offered: true, Works: true, Delay: 10},
			{Name: ServerSentEvents, Offered: true, Works: true, Delay: 10 + late},
		}}
		(&examiner{report: r}).judge()
		if got := strings.Join(codesOf(r), ","); got != want {
			t.Errorf("%v ms late: %q", late, got)
		}
		if advised := len(r.Advice) > 0 && len(r.Advice[0].Lines) > 0; late == 210 && (!advised || r.Advice[0].Lines[0] != "option http-no-delay") {
			t.Errorf("advice %v", r.Advice)
		}
	}
}

// What it is called in JSON does not change.
func TestFieldsOfJSON(t *testing.T) {
	r := examine(t, Options{URL: serve(t, newHub(t, endpoint.Options{}))})
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		URL, Verdict, Best string
		Negotiate          struct {
			Status  int
			Offered []string
		}
		Boxes, Findings, Advice []any
		Transports              []map[string]any
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Verdict != "well" || got.Negotiate.Status != 200 || len(got.Negotiate.Offered) != 3 || got.Boxes == nil || got.Findings == nil || got.Advice == nil || len(got.Transports) != 3 {
		t.Fatalf("%s", text)
	}
	for _, field := range []string{"transport", "offered", "works", "connectMillis", "firstEventMillis", "delayMillis", "delayMaxMillis", "buffered"} {
		if _, there := got.Transports[0][field]; !there {
			t.Errorf("no field %s in %s", field, text)
		}
	}
}

func TestBoxesGiveThemselvesAway(t *testing.T) {
	for _, header := range []string{"Via: 1.1 corner", "X-Varnish: 32770"} {
		name, value, _ := strings.Cut(header, ": ")
		if got := identify(http.Header{name: {value}}); len(got) != 1 || got[0].Evidence != name {
			t.Errorf("%s: %v", header, got)
		}
	}
	for header, want := range map[string]string{
		"Server: nginx/1.22.1":                "nginx",
		"Server: Apache/2.4.62 (Debian)":      "apache",
		"Server: Kestrel":                     "kestrel",
		"Server: gunicorn":                    "server",
		"Via: 1.1 v (Varnish/7.1)":            "varnish",
		"Via: 1.1 tinyproxy (tinyproxy/1.11)": "tinyproxy",
	} {
		name, value, _ := strings.Cut(header, ": ")
		if got := identify(http.Header{name: {value}}); len(got) != 1 || got[0] != (Box{want, header}) {
			t.Errorf("%s: %v", header, got)
		}
	}
	if got := identifyPage("<h1>504 Gateway Time-out</h1>\nThe server didn't respond in time."); len(got) != 1 || got[0].Kind != "haproxy" {
		t.Error(got)
	}
}
