package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/transports"
)

// door is an endpoint whose backend decides about clients.
type door struct {
	*lab
	endpoint *endpoint.Endpoint
	http     *http.Client
}

func newDoor(t *testing.T, s Settings) *door {
	l := newLab(t, s, hub.Options{})
	e := endpoint.New(l.hub, endpoint.Options{
		Options: transports.Options{AllowedOrigins: []string{"http://friend.example"}}, Authenticator: l.Authenticator(),
		TicketLifetime: 30 * time.Second, Events: endpoint.Events{Enabled: true},
	})
	d := &door{l, e, hubtest.HTTPClient(t, http.StripPrefix("/hubs", e))}
	t.Cleanup(func() { _ = e.Shutdown(t.Context()) })
	return d
}

// post makes a request of a client.
func (d *door) do(t *testing.T, method, url string, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://host/hubs/"+url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	response, err := d.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func TestBackendDecidesWhoConnects(t *testing.T) {
	b := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/connect/chat" {
			_, _ = io.WriteString(w, `{"userId":"ann","groups":["red","blue"],"claims":{"role":["admin"],"carillon.groups":["evil"]}}`)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	for _, o := range []client.Options{
		{Transports: []client.Transport{client.WebSockets}},
		{Transports: []client.Transport{client.ServerSentEvents}},
		{Transports: []client.Transport{client.LongPolling}},
		{SkipNegotiation: true, Transports: []client.Transport{client.WebSockets}},
	} {
		d := newDoor(t, Settings{
			Templates: []Template{{URL: b.URL + "/{category}/{event}"}},
			Connect:   &Connect{URL: b.URL + "/connect/{hub}", Headers: []string{"user-agent", "X-Tenant", "x-missing"}, Cookies: []string{"session"}},
		})
		o.HTTPClient = d.http
		o.Header = http.Header{"X-Tenant": {"t1", "t2"}, "Cookie": {"other=1; session=s1; session=s2"}, "User-Agent": {"test"}}
		c := client.New("http://host/hubs/chat?room=a&room=b", o)
		if err := c.Start(t.Context()); err != nil {
			t.Fatalf("%v: %v", o.Transports, err)
		}
		asked := b.next(t)
		transport := ""
		if o.SkipNegotiation {
			transport = "WebSockets"
		}
		var got question
		if err := json.Unmarshal([]byte(asked.body), &got); err != nil {
			t.Fatal(err)
		}
		got.Address = ""
		want := question{
			Hub: "chat", Transport: transport, Query: map[string][]string{"room": {"a", "b"}},
			Headers: map[string][]string{"user-agent": {"test"}, "x-tenant": {"t1", "t2"}}, Cookies: map[string][]string{"session": {"s1", "s2"}},
		}
		delete(got.Query, "negotiateVersion")
		if !reflect.DeepEqual(got, want) || asked.header.Get("Webhook-Signature") == "" {
			t.Errorf("the backend is asked %+v, want %+v", got, want)
		}
		if r := b.next(t); r.path != "/connections/connected" || r.header.Get("X-ASRS-User-Id") != "ann" ||
			!reflect.DeepEqual(r.header.Values("X-ASRS-User-Claims"), []string{"role: admin"}) {
			t.Errorf("%v: the next event is %s %v", o.Transports, r.path, r.header)
		}
		if n, err := d.hub.Count(t.Context(), hub.Audience{Kind: hub.InGroups, Names: []string{"red"}}); err != nil || n.Connections != 1 {
			t.Errorf("%v: the group has %+v, %v", o.Transports, n, err)
		}
		_ = c.Stop(t.Context())
		if r := b.next(t); r.path != "/connections/disconnected" {
			t.Errorf("%v: the last event is %s", o.Transports, r.path)
		}
	}
}

func TestBackendRefusesClients(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		status int
	}{
		"401":                 {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the reason", http.StatusUnauthorized) }, 401},
		"403":                 {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the reason", http.StatusForbidden) }, 403},
		"404":                 {http.NotFound, 503},
		"500":                 {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "the reason", 500) }, 503},
		"redirect":            {http.RedirectHandler("/ok", http.StatusFound).ServeHTTP, 503},
		"hangs":               {hang, 503},
		"dies":                {die, 503},
		"large":               {write(`{"userId":"` + strings.Repeat("x", 20<<10) + `"}`), 503},
		"long user id":        {write(`{"userId":"` + strings.Repeat("x", 2<<10) + `"}`), 503},
		"not JSON":            {write("welcome"), 503},
		"a list":              {write("[]"), 503},
		"a misspelled field":  {write(`{"user_id":"ann"}`), 503},
		"more":                {write(`{"userId":"ann"}{}`), 503},
		"a group without":     {write(`{"groups":[""]}`), 503},
		"a long group":        {write(`{"groups":["` + strings.Repeat("x", 1025) + `"]}`), 503},
		"a number as user id": {write(`{"userId":7}`), 503},
		"204":                 {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 200},
		"empty":               {write(""), 200},
		"anonymous":           {write("{}"), 200},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, c.answer)
			d := newDoor(t, Settings{Connect: &Connect{URL: b.URL, Timeout: time.Second}})
			response := d.do(t, http.MethodPost, "chat/negotiate?negotiateVersion=1")
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != c.status || c.status != 200 && len(body) > 0 || c.status == 200 && !strings.Contains(string(body), "ticket.") {
				t.Errorf("the answer is %d %q, want %d", response.StatusCode, body, c.status)
			}
			if got := response.Header.Get("Retry-After"); (c.status == 503) != (got == "1") {
				t.Errorf("Retry-After is %q", got)
			}
			if strings.Contains(fmt.Sprint(response.Header), "the reason") {
				t.Error("the client sees the reason")
			}
			if log := d.log.String(); strings.Contains(log, "event=connect") != (c.status != 200) || c.status == 403 && !strings.Contains(log, "the reason") {
				t.Errorf("the log has %s", log)
			}
		})
	}
}

// Only requests that open a connection are asked about; the others need the ticket.
func TestBackendIsAskedOnce(t *testing.T) {
	b := newBackend(t, nil)
	d := newDoor(t, Settings{Connect: &Connect{URL: b.URL}})
	for _, c := range []struct {
		method, url string
		headers     []string
		status      int
	}{
		{http.MethodPost, "chat?id=1", nil, 401},
		{http.MethodGet, "chat?id=1", []string{"Accept", "text/event-stream"}, 401},
		{http.MethodGet, "chat", nil, 401},
		{http.MethodDelete, "chat?id=1", nil, 401},
		{http.MethodGet, "chat/negotiate", nil, 401},
		{http.MethodPost, "chat/refresh", nil, 404},
		{http.MethodPost, "chat/negotiate", []string{"Origin", "http://evil.example", "Cookie", "session=1"}, 403},
		{http.MethodGet, "chat/events", []string{"Origin", "http://evil.example", "Cookie", "session=1"}, 403},
		{http.MethodOptions, "chat/negotiate", []string{"Origin", "http://friend.example", "Access-Control-Request-Method", "POST"}, 204},
		{http.MethodPost, "chat/negotiate", []string{"X-Asrs-Hub", "other"}, 508},
	} {
		if got := d.do(t, c.method, c.url, c.headers...).StatusCode; got != c.status || len(b.requests) > 0 {
			t.Errorf("%s %s is answered %d, want %d; the backend gets %d requests", c.method, c.url, got, c.status, len(b.requests))
		}
	}
	if got := d.do(t, http.MethodPost, "chat/negotiate", "Origin", "http://friend.example", "Cookie", "session=1").StatusCode; got != 200 || len(b.requests) != 1 {
		t.Errorf("a friend is answered %d", got)
	}
	// A ticket that has ended or is forged says nothing: the cookies decide.
	if got := d.do(t, http.MethodPost, "chat/negotiate", "Authorization", "Bearer ticket.forged").StatusCode; got != 200 || len(b.requests) != 2 {
		t.Errorf("a client with a forged ticket is answered %d", got)
	}
}

func TestCallsAreLimited(t *testing.T) {
	release := make(chan struct{})
	b := newBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		w.WriteHeader(http.StatusNoContent)
	})
	l := newLab(t, Settings{MaxRequests: 3, Connect: &Connect{URL: b.URL}}, hub.Options{})
	ask := func(ctx context.Context, address string) int {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/chat/negotiate", nil)
		r.RemoteAddr = address + ":1234"
		_, err := l.Authenticator().Authenticate(r)
		if refused, ok := errors.AsType[*auth.StatusError](err); ok {
			return refused.Status
		}
		return 0
	}
	var asking sync.WaitGroup
	for range 3 + 3*waitingPerCall {
		asking.Go(func() { _ = ask(t.Context(), "10.0.0.1") })
	}
	for s := l.Stats(); s.InFlight < 3 || s.Waiting < 3*waitingPerCall; s = l.Stats() {
		time.Sleep(time.Millisecond) // polls
	}
	if got := ask(t.Context(), "10.0.0.1"); got != 503 || l.meter.count("connect busy") != 1 {
		t.Errorf("a call more than may wait: %d", got)
	}
	close(release)
	asking.Wait()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	refused := 0
	for range 1100 { // without asking the backend, which takes time in which calls are earned back
		if ask(canceled, "203.0.113.1") == 429 {
			refused++
		}
	}
	if refused == 0 || ask(t.Context(), "203.0.113.2") != 0 {
		t.Errorf("%d of 1100 calls of an address are refused", refused)
	}
}

func TestGroupsOfAnotherProcess(t *testing.T) {
	a := &answer{body: []byte(`{"groups":["red","blue"]}`)}
	user, err := a.decision()
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(user.Claims)
	user.Claims = nil
	if err := json.Unmarshal(text, &user.Claims); err != nil {
		t.Fatal(err)
	}
	if got := groupsOf(user); !reflect.DeepEqual(got, []string{"red", "blue"}) {
		t.Errorf("the groups are %q", got)
	}
}
