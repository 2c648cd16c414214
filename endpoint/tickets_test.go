package endpoint_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/forwarded"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/signalr"
)

func startTicketSite(t *testing.T, o endpoint.Options) *site {
	t.Helper()
	o.TicketLifetime = 30 * time.Second
	h := hub.New(hub.Options{})
	h.Handle("Who", hub.Func0(func(ctx context.Context) (string, error) { return hub.CallerFrom(ctx).UserID(), nil }))
	e := endpoint.New(h, o)
	server := httptest.NewServer(auth.Middleware(e.Authenticator(auth.Func(byName)), auth.Require(nil, e)))
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Shutdown(ctx) // cuts what the test left
		server.Close()
	})
	return &site{t, server.URL + "/hub", server.Client()}
}

// ticket negotiates with a user's own credentials.
func (s *site) ticket(user string) string {
	s.t.Helper()
	offer := s.negotiate(user)
	if offer.URL != s.url || offer.AccessToken == "" || offer.ConnectionToken != "" {
		s.t.Fatalf("%+v", offer)
	}
	return offer.AccessToken
}

const askWho = `{"type":1,"invocationId":"0","target":"Who","arguments":[]}`

func TestTickets(t *testing.T) {
	s := startTicketSite(t, endpoint.Options{})
	ticket := s.ticket("alice")
	offer := s.negotiate(ticket)
	id := "?id=" + offer.ConnectionToken
	if _, status := s.dial(id+"&access_token=alice", ""); status != http.StatusUnauthorized {
		t.Errorf("a token in the URL: %d", status)
	}
	if _, status := s.dial("?access_token="+ticket, ""); status != http.StatusUnauthorized {
		t.Errorf("a ticket without its connection: %d", status)
	}
	if _, status := s.dial("?access_token="+s.ticket("alice"), ""); status != http.StatusUnauthorized {
		t.Errorf("a ticket that negotiated nothing: %d", status)
	}
	conn, status := s.dial(id+"&access_token="+ticket, "")
	if conn == nil {
		t.Fatal(status)
	}
	if _, status := s.dial(id+"&access_token="+ticket, ""); status != http.StatusConflict {
		t.Errorf("a ticket opens a connection twice: %d", status)
	}
	if status, _ := s.do(http.MethodPost, "/negotiate?negotiateVersion=1", ticket, ""); status != http.StatusUnauthorized {
		t.Errorf("a ticket negotiates beside its connection: %d", status)
	}
	say(t, conn, shake)
	if answer := say(t, conn, askWho); answer != `{"type":3,"invocationId":"0","result":"alice"}` {
		t.Error(answer)
	}

	other := s.negotiate(s.ticket("alice"))
	if _, status := s.dial("?id="+other.ConnectionToken+"&access_token="+ticket, ""); status != http.StatusUnauthorized {
		t.Errorf("a ticket opens another connection of its user: %d", status)
	}
	if _, status := s.dial("?id="+other.ConnectionID+"&access_token="+ticket, ""); status != http.StatusUnauthorized {
		t.Errorf("a ticket with a public id: %d", status)
	}
}

// The JavaScript client that a cookie identifies reconnects with the ticket of its last connection, also
// after a restart of the server.
func TestTicketThatIsOverLeavesTheOtherCredentials(t *testing.T) {
	e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{TicketLifetime: 30 * time.Second})
	byCookie := auth.Func(func(r *http.Request) (*auth.User, error) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the ticket is passed on")
		}
		for _, cookie := range r.CookiesNamed("session") {
			return &auth.User{ID: cookie.Value}, nil
		}
		return nil, nil //nolint:nilnil // nobody
	})
	h := auth.Middleware(e.Authenticator(byCookie), auth.Require(nil, e))
	for what, want := range map[string]int{"cookie": http.StatusOK, "": http.StatusUnauthorized} {
		r := httptest.NewRequest(http.MethodPost, "/hub/negotiate?negotiateVersion=1", nil)
		r.Header.Set("Authorization", "Bearer ticket.of-before")
		if what == "cookie" {
			r.AddCookie(&http.Cookie{Name: "session", Value: "alice"})
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var offer signalr.Negotiation
		_ = json.Unmarshal(w.Body.Bytes(), &offer)
		if w.Code != want || (offer.AccessToken != "") != (want == http.StatusOK) {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
}

// Event streams and polls take their ticket as often as they have requests.
func TestTicketsOverHTTP(t *testing.T) {
	s := startTicketSite(t, endpoint.Options{EnableAuthenticationRefresh: true})
	ticket := s.ticket("alice:1000")
	offer := s.negotiate(ticket)
	if offer.TokenLifetimeSeconds == 0 {
		t.Error("the second negotiation tells no lifetime")
	}
	id := "?id=" + offer.ConnectionToken
	s.do(http.MethodGet, id, ticket, "")
	s.do(http.MethodPost, id, ticket, shake+"\x1e"+askWho+"\x1e")
	got := ""
	for !strings.Contains(got, "result") {
		status, text := s.do(http.MethodGet, id, ticket, "")
		if got += text; status != http.StatusOK {
			t.Fatal(status, got)
		}
	}
	if !strings.Contains(got, `"result":"alice"`) {
		t.Error(got)
	}
	if status, answer := s.do(http.MethodPost, "/refresh"+id, "alice:5000.5", ""); status != http.StatusOK || !strings.Contains(answer, "5000") {
		t.Error("refresh with own credentials:", status, answer)
	}
	if status, _ := s.do(http.MethodDelete, id, ticket, ""); status != http.StatusAccepted {
		t.Error(status)
	}
}

// Who has read a ticket and the token of its connection in a proxy's log has no more than
// that connection.
func TestTicketOpensNothingElse(t *testing.T) {
	s := startTicketSite(t, endpoint.Options{EnableAuthenticationRefresh: true, Events: endpoint.Events{Enabled: true}})
	ticket := s.ticket("alice:1000")
	id := "?id=" + s.negotiate(ticket).ConnectionToken
	s.do(http.MethodGet, id, ticket, "")
	for _, fresh := range []bool{false, true} {
		if status, answer := s.do(http.MethodPost, "/negotiate"+id+"&negotiateVersion=1", ticket, ""); status != http.StatusUnauthorized {
			t.Errorf("refreshed: %v: another connection: %d %s", fresh, status, answer)
		}
		if status, answer := s.do(http.MethodHead, "/events"+id, ticket, ""); status != http.StatusUnauthorized {
			t.Errorf("refreshed: %v: what the user hears: %d %s", fresh, status, answer)
		}
		if status, answer := s.do(http.MethodPost, "/refresh"+id, "alice:5000", ""); status != http.StatusOK {
			t.Error(status, answer)
		}
	}
}

// A refresh with the user's own credentials prolongs the connection of a ticket, which goes on
// with it. The ticket itself prolongs nothing.
func TestTicketsAndRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := endpoint.NewRaw(&closing{}, endpoint.Options{
			EnableAuthenticationRefresh: true, TicketLifetime: 30 * time.Second, MaximumAuthenticationExpiration: time.Minute,
		})
		o := &office{t, auth.Middleware(e.Authenticator(auth.Func(byName)), e), e}
		var redirected struct{ AccessToken string }
		_ = json.Unmarshal(o.ask(t.Context(), http.MethodPost, "/negotiate?negotiateVersion=1", "alice:20").Body.Bytes(), &redirected)
		ticket := redirected.AccessToken
		token := o.negotiate("1", ticket).token
		poll := func(want int) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if w := o.ask(ctx, http.MethodGet, "?id="+token, ticket); w.Code != want {
				t.Errorf("a poll with the ticket: %d", w.Code)
			}
		}
		poll(http.StatusOK)
		time.Sleep(5 * time.Second) // of the bubble
		o.want(token, ticket, 200, `{"tokenLifetimeSeconds":15}`)
		o.want(token, "mallory:900", 403, `{"error":"user_changed"}`)
		o.want(token, "alice:900", 200, `{"tokenLifetimeSeconds":60}`)
		time.Sleep(10 * time.Second) // of the bubble
		poll(http.StatusOK)
		time.Sleep(9 * time.Second) // of the bubble, beyond the end of the first credentials
		poll(http.StatusOK)
		o.want(token, ticket, 200, `{"tokenLifetimeSeconds":39}`)
		other := o.negotiate("1", "").token
		if w := o.ask(t.Context(), http.MethodPost, "/refresh", ticket, connectionToken, other); w.Code != http.StatusUnauthorized {
			t.Error("a ticket refreshes another connection:", w.Code)
		}
		time.Sleep(time.Minute) // of the bubble
		o.end()
	})
}

// What a ticket stands for ends with what its user came with.
func TestTicketExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ask := ticketsWithoutServer()
		enter := func(token string) (int, signalr.Negotiation) {
			return ask(http.MethodPost, "/hub/negotiate?negotiateVersion=1", token)
		}
		_, late := enter("alice")
		_, good := enter("alice")
		_, short := enter("bob:10")
		_, bobs := enter(short.AccessToken)
		if status, _ := enter(good.AccessToken); status != http.StatusOK {
			t.Error(status)
		}
		if status, _ := ask(http.MethodGet, "/hub?id="+bobs.ConnectionToken, short.AccessToken); status != http.StatusOK {
			t.Error(status)
		}
		time.Sleep(12 * time.Second) // of the bubble
		if status, _ := ask(http.MethodPost, "/hub?id="+bobs.ConnectionToken, short.AccessToken); status != http.StatusUnauthorized {
			t.Errorf("a ticket outlives its user's credentials: %d", status)
		}
		time.Sleep(20 * time.Second) // of the bubble
		if status, _ := enter(late.AccessToken); status != http.StatusUnauthorized {
			t.Errorf("a ticket after its time: %d", status)
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTicketsLeadToThePublicURL(t *testing.T) {
	public, err := url.Parse("https://example.com/rt/hub")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		public  *url.URL
		path    string
		header  []string // of a proxy of which nobody says that it is trusted
		request string
	}{
		{nil, "http://a.example/hub", nil, "http://a.example/hub/negotiate?negotiateVersion=1"},
		{nil, "https://a.example/hub?room=1", []string{"X-Forwarded-Proto", "https"}, "http://a.example/hub/negotiate?negotiateVersion=1&room=1&useStatefulReconnect=true"},
		{nil, "https://a.example/hub", []string{"X-Forwarded-Proto", "http"}, "https://a.example/hub/negotiate"},
		{nil, "http://a.example/hub", []string{"X-Forwarded-Host", "evil.example"}, "http://a.example/hub/negotiate"},
		{nil, "http://a.example/hub", []string{"Forwarded", "host=evil.example;proto=gopher"}, "http://a.example/hub/negotiate"},
		{nil, "http://a.example//evil.example/hub", []string{"X-Forwarded-Prefix", "//evil.example"}, "http://a.example/hub/negotiate"},
		{nil, "http://a.example", nil, "http://a.example/negotiate/"},
		{public, "https://example.com/rt/hub?room=1", nil, "http://10.0.0.1/hub/negotiate?room=1&access_token=alice"},
		{public, "https://example.com/rt/hub", []string{"X-Forwarded-Prefix", "/x"}, "http://10.0.0.1/hub/negotiate"},
	} {
		e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{TicketLifetime: time.Second, PublicURL: c.public})
		r := httptest.NewRequest(http.MethodPost, c.request, nil)
		r.RequestURI = r.URL.RequestURI()
		r.Header.Set("Authorization", "Bearer alice")
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Set(c.header[i], c.header[i+1])
		}
		w := httptest.NewRecorder()
		auth.Middleware(e.Authenticator(auth.Func(byName)), e).ServeHTTP(w, r)
		var offer signalr.Negotiation
		if err := json.Unmarshal(w.Body.Bytes(), &offer); err != nil || offer.URL != c.path {
			t.Errorf("%s: %q, %v", c.request, offer.URL, err)
		}
	}
}

// Those who negotiate without credentials need no ticket.
func TestNoTicketsForAnonymous(t *testing.T) {
	e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{TicketLifetime: time.Second})
	w := httptest.NewRecorder()
	auth.Middleware(e.Authenticator(auth.Func(byName)), e).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/negotiate?negotiateVersion=1", nil))
	if !strings.Contains(w.Body.String(), "connectionToken") {
		t.Error(w.Body)
	}
	_ = e.Shutdown(t.Context())
}

// A server that drains sends nobody to itself: another one, which the client may find next,
// does not know the ticket.
func TestNoTicketsWhileDraining(t *testing.T) {
	e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{TicketLifetime: time.Second})
	e.Drain()
	r := httptest.NewRequest(http.MethodPost, "/negotiate?negotiateVersion=1", nil)
	r.Header.Set("Authorization", "Bearer alice")
	w := httptest.NewRecorder()
	auth.Middleware(e.Authenticator(auth.Func(byName)), e).ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Error(w.Code, w.Body)
	}
	_ = e.Shutdown(t.Context())
}

// A path that a proxy took off is put before the endpoint's again.
func TestTicketsBehindPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"/app": "https://a.example/app/hub", "/app/": "https://a.example/app/hub", "app": "https://a.example/hub"} {
		e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{TicketLifetime: time.Second})
		r := httptest.NewRequest(http.MethodPost, "http://10.0.0.1/hub/negotiate?negotiateVersion=1", nil)
		r.RemoteAddr = "10.0.0.9:1"
		for name, value := range map[string]string{"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "a.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": prefix} {
			r.Header.Set(name, value)
		}
		r.Header.Set("Authorization", "Bearer alice")
		w := httptest.NewRecorder()
		behind := forwarded.Trust([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
		behind(auth.Middleware(e.Authenticator(auth.Func(byName)), e)).ServeHTTP(w, r)
		var offer signalr.Negotiation
		if err := json.Unmarshal(w.Body.Bytes(), &offer); err != nil || offer.URL != want {
			t.Errorf("%s: %q, %v", prefix, offer.URL, err)
		}
	}
}

// ticketsWithoutServer returns an endpoint with tickets, and a function that asks it without a
// server, so that its time may be that of a bubble.
func ticketsWithoutServer() (*endpoint.Endpoint, func(method, path, token string) (int, signalr.Negotiation)) {
	e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{TicketLifetime: 30 * time.Second})
	guarded := auth.Middleware(e.Authenticator(auth.Func(byName)), auth.Require(nil, e))
	return e, func(method, path, token string) (int, signalr.Negotiation) {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		guarded.ServeHTTP(w, r)
		var offer signalr.Negotiation
		_ = json.Unmarshal(w.Body.Bytes(), &offer)
		return w.Code, offer
	}
}
