package negotiation_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/negotiation"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// nobody is an application that no connection of these tests reaches.
type nobody struct{}

func (nobody) Connect(transports.Connection) (transports.Receiver, error) {
	return nil, transports.ErrApplication
}

func newRegistry(t *testing.T) *connection.Registry {
	t.Helper()
	r := connection.NewRegistry(nobody{}, transports.Options{AllowStatefulReconnect: true})
	t.Cleanup(func() { _ = r.Shutdown(t.Context()) })
	return r
}

var ids = regexp.MustCompile(`"[A-Za-z0-9_-]{22}"`)

// ask returns the answer, ids replaced.
func ask(h http.Handler, method, query, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/hub/negotiate?"+query, nil)
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body := ids.ReplaceAllString(w.Body.String(), "ID")
	w.Body.Reset()
	w.Body.WriteString(body)
	return w
}

const (
	ws  = `{"transport":"WebSockets","transferFormats":["Text","Binary"]}`
	sse = `{"transport":"ServerSentEvents","transferFormats":["Text"]}`
	lp  = `{"transport":"LongPolling","transferFormats":["Text","Binary"]}`
	all = `"availableTransports":[` + ws + `,` + sse + `,` + lp + `]}`
)

// The answers are the original's.
func TestAnswers(t *testing.T) {
	const noInteger = `{"error":"The client requested a non-integer protocol version."}`
	h := negotiation.NewHandler(newRegistry(t), true, negotiation.Options{})
	for query, want := range map[string]string{
		"":                          `{"negotiateVersion":0,"connectionId":ID,` + all,
		"negotiateVersion=1":        `{"negotiateVersion":1,"connectionId":ID,"connectionToken":ID,` + all,
		"NEGOTIATEVERSION=99":       `{"negotiateVersion":1,"connectionId":ID,"connectionToken":ID,` + all,
		"negotiateVersion=+%201":    `{"negotiateVersion":1,"connectionId":ID,"connectionToken":ID,` + all,
		"useStatefulReconnect=True": `{"useStatefulReconnect":true,"negotiateVersion":0,"connectionId":ID,` + all,
		"useStatefulReconnect=true&statefulTransports=all": `{"useStatefulReconnect":true,"negotiateVersion":0,"connectionId":ID,` +
			all[:len(all)-1] + `,"statefulTransports":["WebSockets","ServerSentEvents","LongPolling"]}`,
		"statefulTransports=all":                `{"negotiateVersion":0,"connectionId":ID,` + all,
		"useStatefulReconnect=1":                `{"negotiateVersion":0,"connectionId":ID,` + all,
		"negotiateVersion=-1":                   `{"error":"The client requested version '-1', but the server does not support this version."}`,
		"negotiateVersion=":                     noInteger,
		"negotiateVersion=1.0":                  noInteger,
		"negotiateVersion=2147483648":           noInteger,
		"negotiateVersion=0&negotiateVersion=1": noInteger,
	} {
		w := ask(h, http.MethodPost, query, "192.0.2.1:1")
		if w.Code != http.StatusOK || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v\n%s, want\n%s", query, w.Code, w.Header(), w.Body, want)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodHead} {
		if w := ask(h, method, "", "192.0.2.1:1"); w.Code != http.StatusMethodNotAllowed || w.Body.Len() > 0 {
			t.Errorf("%s: %d %s", method, w.Code, w.Body)
		}
	}
	// The original's methods have no case.
	if w := ask(h, "post", "", "192.0.2.1:1"); w.Code != http.StatusOK {
		t.Errorf("post: %d", w.Code)
	}
}

// A rule narrows and reorders what the endpoint allows, for its network only.
func TestRules(t *testing.T) {
	h := negotiation.NewHandler(newRegistry(t), false, negotiation.Options{
		Transports: []transports.Type{transports.WebSockets, transports.LongPolling},
		Policy: negotiate.Rules{
			{Network: netip.MustParsePrefix("10.0.0.0/8"), Transports: []transports.Type{transports.LongPolling, transports.ServerSentEvents, transports.WebSockets}},
			{Network: netip.MustParsePrefix("2001:db8::/32"), Transports: []transports.Type{transports.LongPolling}},
		},
	})
	for from, want := range map[string]string{
		"192.0.2.1:1":         `[` + ws + `,` + lp + `]`,
		"10.1.2.3:4":          `[` + lp + `,` + ws + `]`,
		"[::ffff:10.1.2.3]:4": `[` + lp + `,` + ws + `]`,
		"[2001:db8::1]:4":     `[` + lp + `]`,
		"@":                   `[` + ws + `,` + lp + `]`,
	} {
		w := ask(h, http.MethodPost, "", from)
		if want := `{"negotiateVersion":0,"connectionId":ID,"availableTransports":` + want + `}`; w.Body.String() != want {
			t.Errorf("%s: %s, want %s", from, w.Body, want)
		}
		if told, ruled := w.Header().Get("Carillon-Transport-Reason") != "", from[0] == '1' && from[1] == '0' || from[0] == '['; told != ruled {
			t.Errorf("%s: the reason is told: %v", from, told)
		}
	}
}

func TestRedirect(t *testing.T) {
	registry := newRegistry(t)
	h := negotiation.NewHandler(registry, false, negotiation.Options{
		Redirect: func(r *http.Request) (url, token string, ok bool) {
			return "https://elsewhere/hub", "secret", r.URL.Query().Has("away")
		},
	})
	if got, want := ask(h, http.MethodPost, "away", "192.0.2.1:1").Body.String(), `{"url":"https://elsewhere/hub","accessToken":"secret"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if registry.Len() != 0 {
		t.Error("a connection is made for a client that is sent elsewhere")
	}
	ask(h, http.MethodPost, "", "192.0.2.1:1")
	if registry.Len() != 1 {
		t.Error("no connection is made for a client that stays")
	}
}

// TestLength: a long answer says how long it is too, and is not sent in chunks.
func TestLength(t *testing.T) {
	h := negotiation.NewHandler(newRegistry(t), false, negotiation.Options{
		Redirect: func(*http.Request) (url, token string, ok bool) {
			return "http://elsewhere/hub", strings.Repeat("t", 10_000), true
		},
	})
	server := httptest.NewServer(h)
	defer server.Close()
	answer, err := http.Post(server.URL+"?negotiateVersion=1", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || len(body) < 10_000 || answer.ContentLength != int64(len(body)) {
		t.Errorf("%d bytes, said to be %d; %v", len(body), answer.ContentLength, err)
	}
}

func TestStopped(t *testing.T) {
	registry := newRegistry(t)
	registry.Stop()
	w := ask(negotiation.NewHandler(registry, false, negotiation.Options{}), http.MethodPost, "", "192.0.2.1:1")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// The policy is asked between the admission and the promise: its client counts, and has no
// connection if the policy panics or the server stops meanwhile.
func TestPolicyBeforePromise(t *testing.T) {
	t.Parallel()
	registry := connection.NewRegistry(nobody{}, transports.Options{Limits: transports.Limits{Connections: 1}})
	t.Cleanup(func() { _ = registry.Shutdown(t.Context()) })
	policy := func(r *http.Request, _ *negotiate.Offer) {
		if n := registry.Len(); n != 1 {
			t.Errorf("%d connections while the policy decides", n)
		}
		second := negotiation.NewHandler(registry, false, negotiation.Options{})
		if w := ask(second, http.MethodPost, "", "192.0.2.2:1"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("a second client of one: %d", w.Code)
		}
		switch {
		case r.URL.Query().Has("panic"):
			panic("the policy's")
		case r.URL.Query().Has("stop"):
			registry.Stop()
		}
	}
	h := negotiation.NewHandler(registry, false, negotiation.Options{Policy: negotiate.PolicyFunc(policy)})
	func() {
		defer func() { _ = recover() }()
		ask(h, http.MethodPost, "panic", "192.0.2.1:1")
	}()
	if n := registry.Len(); n != 0 {
		t.Errorf("%d connections after a panic", n)
	}
	if w := ask(h, http.MethodPost, "stop", "192.0.2.1:1"); w.Code != http.StatusServiceUnavailable || registry.Len() != 0 {
		t.Errorf("stopped meanwhile: %d %s, %d connections", w.Code, w.Body, registry.Len())
	}
}

// The observer of an offer gets the events of its connection.
func TestOfferedObserver(t *testing.T) {
	t.Parallel()
	registry := newRegistry(t)
	var seen observer
	policy := func(_ *http.Request, o *negotiate.Offer) { o.Observer, o.SilenceLimit = &seen, 7*time.Second }
	h := negotiation.NewHandler(registry, false, negotiation.Options{Policy: negotiate.PolicyFunc(policy)})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/hub/negotiate", nil))
	c := registry.Find(strings.Trim(ids.FindString(w.Body.String()), `"`))
	if c == nil || c.SilenceLimit() != 7*time.Second {
		t.Fatalf("%s promises no connection, or one without its limit", w.Body)
	}
	if _, err := c.Claim(transports.LongPolling, httptest.NewRequest(http.MethodGet, "/hub", nil)); err != nil {
		t.Fatal(err)
	}
	c.Abort(nil)
	if seen.Load() == 0 {
		t.Error("the observer got no event")
	}
}

// observer counts events.
type observer struct{ atomic.Int32 }

func (o *observer) Observe(transports.Event) { o.Add(1) }
