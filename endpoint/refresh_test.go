package endpoint_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

const connectionToken = "X-SignalR-Connection-Token"

// office is an endpoint behind authentication that is asked without a server, so that its
// time may be that of a bubble.
type office struct {
	t *testing.T
	http.Handler
	endpoint *endpoint.Endpoint
}

func newOffice(t *testing.T, o endpoint.Options) *office {
	t.Helper()
	o.EnableAuthenticationRefresh = true
	e := endpoint.New(hub.New(hub.Options{}), o)
	return &office{t, auth.Middleware(e.Authenticator(auth.Func(byName)), e), e}
}

func (o *office) ask(ctx context.Context, method, rest, user string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, "/hub"+rest, nil)
	if user != "" {
		r.Header.Set("Authorization", "Bearer "+user)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	o.ServeHTTP(w, r)
	return w
}

// offer is what a negotiation says; lifetime is what it tells of that, "" for nothing.
type offer struct{ id, token, lifetime string }

func (o *office) negotiate(version, user string) offer {
	o.t.Helper()
	w := o.ask(o.t.Context(), http.MethodPost, "/negotiate?negotiateVersion="+version, user)
	var says struct {
		ConnectionID         string
		ConnectionToken      string
		TokenLifetimeSeconds json.Number
	}
	if err := json.Unmarshal(w.Body.Bytes(), &says); err != nil || w.Code != http.StatusOK {
		o.t.Fatal(w.Code, w.Body, err)
	}
	return offer{says.ConnectionID, says.ConnectionToken, says.TokenLifetimeSeconds.String()}
}

func (o *office) refresh(token, user string) (status int, answer string) {
	w := o.ask(o.t.Context(), http.MethodPost, "/refresh", user, connectionToken, token)
	return w.Code, w.Body.String()
}

func (o *office) want(token, user string, status int, answer string) {
	o.t.Helper()
	if code, text := o.refresh(token, user); code != status || text != answer {
		o.t.Errorf("refresh by %q: %d %s, want %d %s", user, code, text, status, answer)
	}
}

func (o *office) end() {
	if err := o.endpoint.Shutdown(o.t.Context()); err != nil {
		o.t.Error(err)
	}
}

// A connection that is refreshed and not opened is forgotten as if it was not refreshed.
func TestUnclaimedRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, endpoint.Options{})
		token := o.negotiate("1", "alice:600").token
		for range 14 {
			o.want(token, "alice:600", 200, `{"tokenLifetimeSeconds":600}`)
			time.Sleep(time.Second) // of the bubble
		}
		time.Sleep(3 * time.Second) // of the bubble
		o.want(token, "alice:600", 404, `{"error":"connection_not_found"}`)
		if n := o.endpoint.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
		o.end()
	})
}

// Each answer of a refresh is as ASP.NET Core 11 has it.
func TestRefreshAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, endpoint.Options{})
		other := newOffice(t, endpoint.Options{})
		own := func() string { return o.negotiate("1", "alice:600").token }
		token, id := own(), o.negotiate("1", "alice:600").id
		closed := own()
		o.ask(t.Context(), http.MethodGet, "?id="+closed, "alice:600")
		o.ask(t.Context(), http.MethodDelete, "?id="+closed, "alice:600")
		for name, c := range map[string]struct {
			method, path, user string
			tokens             []string
			status             int
			answer             string
		}{
			"done":                         {"POST", "", "alice:1000.5", []string{token}, 200, `{"tokenLifetimeSeconds":1000}`},
			"done, in other words":         {"post", "/", "alice:1000.5", []string{token}, 200, `{"tokenLifetimeSeconds":1000}`},
			"less than a second":           {"POST", "", "alice:0.5", []string{own()}, 200, `{"tokenLifetimeSeconds":0}`},
			"for ever":                     {"POST", "", "alice", []string{own()}, 200, `{}`},
			"for longer than 32 bits tell": {"POST", "", "alice:3000000000", []string{own()}, 200, `{"tokenLifetimeSeconds":2147483647}`},
			"no header":                    {"POST", "", "alice:600", nil, 400, `{"error":"missing_connection_token"}`},
			"an empty header":              {"POST", "", "alice:600", []string{""}, 400, `{"error":"missing_connection_token"}`},
			"an empty header and another":  {"POST", "", "alice:600", []string{"", token}, 200, `{"tokenLifetimeSeconds":600}`},
			"the header twice":             {"POST", "", "alice:600", []string{token, token}, 404, `{"error":"connection_not_found"}`},
			"two in one":                   {"POST", "", "alice:600", []string{token + "," + token}, 404, `{"error":"connection_not_found"}`},
			"a long header":                {"POST", "", "alice:600", []string{strings.Repeat("x", 20_000)}, 404, `{"error":"connection_not_found"}`},
			"in the query":                 {"POST", "?id=" + token, "alice:600", nil, 200, `{"tokenLifetimeSeconds":600}`},
			"in the query, empty header":   {"POST", "?id=" + token, "alice:600", []string{""}, 200, `{"tokenLifetimeSeconds":600}`},
			"the header before the query":  {"POST", "?id=" + token, "alice:600", []string{"none"}, 404, `{"error":"connection_not_found"}`},
			"version 0":                    {"POST", "", "alice:600", []string{o.negotiate("0", "alice:600").id}, 400, `{"error":"unsupported_negotiate_version"}`},
			"version 0, another user":      {"POST", "", "bob:600", []string{o.negotiate("0", "alice:600").id}, 400, `{"error":"unsupported_negotiate_version"}`},
			"another user":                 {"POST", "", "bob:600", []string{token}, 403, `{"error":"user_changed"}`},
			"nobody":                       {"POST", "", "", []string{token}, 403, `{"error":"user_changed"}`},
			"nobody's connection":          {"POST", "", "alice:600", []string{o.negotiate("1", "").token}, 403, `{"error":"user_changed"}`},
			"nobody on both sides":         {"POST", "", "", []string{o.negotiate("1", "").token}, 403, `{"error":"user_changed"}`},
			"no user id on both sides":     {"POST", "", ":600", []string{o.negotiate("1", ":600").token}, 403, `{"error":"user_changed"}`},
			"unknown":                      {"POST", "", "alice:600", []string{"none"}, 404, `{"error":"connection_not_found"}`},
			"a public id":                  {"POST", "", "alice:600", []string{id}, 404, `{"error":"connection_not_found"}`},
			"another hub's":                {"POST", "", "alice:600", []string{other.negotiate("1", "alice:600").token}, 404, `{"error":"connection_not_found"}`},
			"a connection that has ended":  {"POST", "", "alice:600", []string{closed}, 404, `{"error":"connection_not_found"}`},
		} {
			var header []string
			for _, token := range c.tokens {
				header = append(header, connectionToken, token)
			}
			w := o.ask(t.Context(), c.method, "/refresh"+c.path, c.user, header...)
			if w.Code != c.status || w.Body.String() != c.answer {
				t.Errorf("%s: %d %s, want %d %s", name, w.Code, w.Body, c.status, c.answer)
			}
			if h := w.Header(); h.Get("Content-Type") != "application/json" || h.Get("Content-Length") != strconv.Itoa(len(c.answer)) {
				t.Errorf("%s: %v", name, h)
			}
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "OPTIONS"} {
			w := o.ask(t.Context(), method, "/refresh", "alice:600", connectionToken, token)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Content-Type") != "text/plain" || w.Body.Len() > 0 {
				t.Errorf("%s: %d %v", method, w.Code, w.Header())
			}
		}
		w := o.ask(t.Context(), http.MethodPost, "/refresh", "alice:600", connectionToken, strings.Repeat("x", 100<<10))
		if w.Code != http.StatusRequestHeaderFieldsTooLarge || w.Body.Len() > 0 {
			t.Error("a header of 100 KiB:", w.Code, w.Body)
		}
		o.end()
		other.end()
	})
}

// closing is an application whose connection closes and is not fetched to the end.
type closing struct{ c transports.Connection }

func (a *closing) Connect(c transports.Connection) (transports.Receiver, error) {
	a.c = c
	return a, nil
}
func (a *closing) Receive([]byte) error { return nil }
func (a *closing) Disconnected(error)   {}

// A connection that is closing, with its last words not fetched, is not refreshed.
func TestClosingConnectionsAreNotRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &closing{}
		e := endpoint.NewRaw(app, endpoint.Options{EnableAuthenticationRefresh: true})
		o := &office{t, auth.Middleware(auth.Func(byName), e), e}
		token := o.negotiate("1", "alice:600").token
		o.ask(t.Context(), http.MethodGet, "?id="+token, "alice:600")
		o.want(token, "alice:1000", 200, `{"tokenLifetimeSeconds":1000}`)
		app.c.Close(nil)
		o.want(token, "alice:2000", 404, `{"error":"connection_not_found"}`)
		if got := app.c.User().Claims["seconds"]; got != "1000" {
			t.Error("its credentials are of", got)
		}
		time.Sleep(time.Minute) // of the bubble: it is forgotten
		o.end()
	})
}

// Where refresh is off there is no such path, and no lifetime is told.
func TestNoRefreshByDefault(t *testing.T) {
	s := startSite(t, endpoint.Options{})
	offer := s.negotiate("alice:100")
	if offer.TokenLifetimeSeconds != 0 {
		t.Error("a lifetime is told")
	}
	for _, method := range []string{http.MethodPost, http.MethodGet} {
		if status, answer := s.do(method, "/refresh", "alice:100", "", connectionToken, offer.ConnectionToken); status != http.StatusNotFound || answer != "" {
			t.Error(method, status, answer)
		}
	}
	if status, answer := s.do(http.MethodPost, "/refresh", "alice:100", ""); status != http.StatusNotFound || answer != "" {
		t.Error(status, answer)
	}
	// For a connection of a hub that has this path it may be sending.
	if status, _ := s.do(http.MethodPost, "/refresh?id="+offer.ConnectionToken, "mallory:100", ""); status == http.StatusOK {
		t.Error("somebody else refreshed")
	}
}

// The lifetime that negotiation tells is that of the credentials, in whole seconds.
func TestNegotiationTellsTheLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, endpoint.Options{})
		for user, want := range map[string]string{"alice:600.9": "600", "alice:0.9": "0", "alice:-1": "", "alice": "", "": "", "alice:3000000000": "2147483647"} {
			for _, version := range []string{"0", "1"} {
				if got := o.negotiate(version, user).lifetime; got != want {
					t.Errorf("%q, version %s: %q, want %q", user, version, got, want)
				}
			}
		}
		o.end()
	})
}

// The application may bound the end of the authentication: at negotiation, at a refresh, and
// where negotiation is skipped.
func TestMaximumAuthenticationExpiration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, endpoint.Options{MaximumAuthenticationExpiration: 30 * time.Second})
		for user, want := range map[string]string{"alice:600": "30", "alice": "30", "alice:20": "20", "": ""} {
			if got := o.negotiate("1", user).lifetime; got != want {
				t.Errorf("%q: %q, want %q", user, got, want)
			}
		}
		token := o.negotiate("1", "alice:600").token
		o.want(token, "alice:600", 200, `{"tokenLifetimeSeconds":30}`)
		time.Sleep(10 * time.Second) // of the bubble
		o.want(token, "alice:600", 200, `{"tokenLifetimeSeconds":30}`)
		o.want(token, "alice:5", 200, `{"tokenLifetimeSeconds":5}`)
		o.end()
	})
}

// The application may refuse fresher credentials. Then the connection keeps those it has. A
// panic, and the end of the goroutine, refuse.
func TestRefreshMayBeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o *office
		var seen transports.Refresh
		o = newOffice(t, endpoint.Options{MaximumAuthenticationExpiration: time.Hour, OnAuthenticationRefresh: func(f *transports.Refresh) bool {
			seen = *f
			o.endpoint.Connections() // no lock is held
			switch f.User.Claims["seconds"] {
			case "1001":
				return false
			case "1002":
				panic("hook")
			case "1003":
				runtime.Goexit()
			}
			return true
		}})
		offer := o.negotiate("1", "alice:600")
		for _, seconds := range []string{"1001", "1002", "1003"} {
			o.want(offer.token, "alice:"+seconds, 403, `{"error":"permission_change_rejected"}`)
		}
		o.want(offer.token, "bob:900", 403, `{"error":"user_changed"}`)
		if seen.User.ID != "alice" {
			t.Error("the application is asked about another user's credentials")
		}
		o.want(offer.token, "alice:900", 200, `{"tokenLifetimeSeconds":900}`)
		if seen.Request.Header.Get("Authorization") != "Bearer alice:900" || seen.ConnectionID != offer.id ||
			seen.Previous.Claims["seconds"] != "600" || !seen.Ends.Equal(time.Now().Add(900*time.Second)) {
			t.Errorf("%+v", seen)
		}
		o.want(offer.token, "alice:7200", 200, `{"tokenLifetimeSeconds":3600}`)
		if !seen.Ends.Equal(time.Now().Add(time.Hour)) || seen.Previous.Claims["seconds"] != "900" {
			t.Errorf("%+v", seen)
		}

		id := "?id=" + offer.token
		o.ask(t.Context(), http.MethodGet, id, "alice:7200")
		if w := o.ask(t.Context(), http.MethodGet, id, "alice:9000"); w.Code == http.StatusForbidden {
			t.Error("a poll with credentials that are allowed is refused")
		}
		o.end()
	})
}

// A poll with fresher credentials is a refresh, which the application may refuse.
func TestPollsMayBeRefused(t *testing.T) {
	s := startSite(t, endpoint.Options{EnableAuthenticationRefresh: true, OnAuthenticationRefresh: func(f *transports.Refresh) bool {
		return f.User.Claims["seconds"] != "5000"
	}})
	id := "?id=" + s.negotiate("alice:1000").ConnectionToken
	s.do(http.MethodGet, id, "alice:1000", "")
	s.do(http.MethodPost, id, "alice:1000", shake+"\x1e")
	if status, answer := s.do(http.MethodGet, id, "alice:5000", ""); status != http.StatusForbidden || answer != `{"error":"permission_change_rejected"}` {
		t.Error(status, answer)
	}
	if status, answer := s.do(http.MethodGet, id, "alice:1000", ""); status != http.StatusOK || answer != "{}\x1e" {
		t.Error("after the refusal:", status, answer)
	}
}

// The application is asked about one refresh of a connection at a time, and those that wait
// for their turn give up with their requests.
func TestRefreshesOfAConnectionAreOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, asked := map[string]int{}, 0
		o := newOffice(t, endpoint.Options{OnAuthenticationRefresh: func(f *transports.Refresh) bool {
			mu.Lock()
			asked++
			if running[f.ConnectionID]++; running[f.ConnectionID] > 1 {
				t.Error("two at once")
			}
			mu.Unlock()
			time.Sleep(time.Second) // of the bubble
			mu.Lock()
			running[f.ConnectionID]--
			mu.Unlock()
			return true
		}})
		first, second := o.negotiate("1", "alice:600").token, o.negotiate("1", "alice:600").token
		begun := time.Now()
		var all sync.WaitGroup
		for range 5 {
			for _, token := range []string{first, second} {
				all.Go(func() {
					if status, answer := o.refresh(token, "alice:900"); status != http.StatusOK {
						t.Error(status, answer)
					}
				})
			}
		}
		synctest.Wait() // one of each is being decided
		short, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if w := o.ask(short, http.MethodPost, "/refresh", "alice:900", connectionToken, first); w.Code == http.StatusOK {
			t.Error("a request that was given up refreshes")
		}
		if gone := time.Since(begun); gone != time.Second/2 {
			t.Error("a request that was given up waited for", gone)
		}
		all.Wait()
		if gone := time.Since(begun); gone != 5*time.Second || asked != 10 {
			t.Errorf("5 refreshes took %v, asked %d times", gone, asked)
		}
		o.end()
	})
}

// What a stuck application has not decided when the request ends, or the connection, changes
// nothing.
func TestRefreshThatIsDecidedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		decide := make(chan bool)
		o := newOffice(t, endpoint.Options{OnAuthenticationRefresh: func(f *transports.Refresh) bool {
			if got := f.Previous.Claims["seconds"]; got != "600" {
				t.Error("what was decided too late counts:", got)
			}
			return <-decide
		}})
		token := o.negotiate("1", "alice:600").token
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if w := o.ask(ctx, http.MethodPost, "/refresh", "alice:900", connectionToken, token); w.Code == http.StatusOK {
			t.Error(w.Code, w.Body)
		}
		decide <- true
		go func() { decide <- false }()
		o.want(token, "alice:1000", 403, `{"error":"permission_change_rejected"}`)

		gone := make(chan struct{})
		go func() { // awaited below
			defer close(gone)
			o.want(token, "alice:1000", 404, `{"error":"connection_not_found"}`)
		}()
		synctest.Wait()
		time.Sleep(20 * time.Second) // of the bubble: nobody came for the connection
		<-gone
		decide <- true
		o.end()
	})
}

// A connection is refreshed 20 times a second, after a burst of 100; others notice nothing.
func TestRefreshesInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		o := newOffice(t, endpoint.Options{OnAuthenticationRefresh: func(*transports.Refresh) bool { asked++; return true }})
		token, other := o.negotiate("1", "alice:600").token, o.negotiate("1", "alice:600").token
		loop := func(n int) (done int) {
			for range n {
				w := o.ask(t.Context(), http.MethodPost, "/refresh", "alice:600", connectionToken, token)
				switch {
				case w.Code == http.StatusOK:
					done++
				case w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1":
					t.Fatal(w.Code, w.Header())
				}
			}
			return done
		}
		if done := loop(10_000); done != 100 {
			t.Errorf("%d at once", done)
		}
		o.want(other, "alice:600", 200, `{"tokenLifetimeSeconds":600}`)
		for range 5 {
			time.Sleep(time.Second) // of the bubble
			if done := loop(1000); done != 20 {
				t.Errorf("%d in a second", done)
			}
		}
		// Who else knows the token uses up nothing.
		time.Sleep(time.Second) // of the bubble
		for range 1000 {
			o.want(token, "mallory:600", 403, `{"error":"user_changed"}`)
		}
		if done := loop(100); done != 20 {
			t.Errorf("%d after another user's", done)
		}
		if asked != 100+1+5*20+20 {
			t.Errorf("the application was asked %d times", asked)
		}
		if n := o.endpoint.Refusals().Refreshes; n != 9900+5*980+80 {
			t.Errorf("%d refused", n)
		}
		o.end()
	})
}

// Polls whose credentials are fresher each time are served, however many they are.
func TestPollsInALoop(t *testing.T) {
	s := startSite(t, endpoint.Options{EnableAuthenticationRefresh: true})
	id := "?id=" + s.negotiate("alice:1000").ConnectionToken
	s.do(http.MethodGet, id, "alice:1000", "")
	s.do(http.MethodPost, id, "alice:1000", shake+"\x1e")
	s.do(http.MethodGet, id, "alice:1000", "")
	for i := range 300 {
		s.do(http.MethodPost, id, "alice:1", `{"type":1,"invocationId":"x","target":"Nothing","arguments":[]}`+"\x1e")
		if status, answer := s.do(http.MethodGet, id, "alice:"+strconv.Itoa(2000+i), ""); status != http.StatusOK {
			t.Fatal(i, status, answer)
		}
	}
}
