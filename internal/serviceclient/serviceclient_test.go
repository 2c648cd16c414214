package serviceclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/serviceclient"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

const page = "https://page.example"

var secrets = map[string]string{"chat": strings.Repeat("chat-key", 5), "news": strings.Repeat("news-key", 5)}

func keysOf(t *testing.T, access ...string) *accesskey.Keys {
	t.Helper()
	k, err := accesskey.Parse(access, nil, accesskey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// door is the handler of the hubs chat and news, each with a key of its own, and silent, which has
// none.
type door struct {
	*testing.T
	http.Handler
	at map[string]*serviceclient.Endpoint
}

func newDoor(t *testing.T, o endpoint.Options) *door {
	t.Helper()
	d := &door{T: t, at: map[string]*serviceclient.Endpoint{}}
	for _, name := range []string{"chat", "news", "silent"} {
		h := hosting.New(name, hosting.Options{Options: hub.Options{ClientTimeout: time.Hour}, Invoke: []string{"*"}})
		h.Hub.Handle("Who", hub.Func0(func(ctx context.Context) (string, error) {
			caller := hub.CallerFrom(ctx)
			claims, err := json.Marshal(caller.User().Claims)
			return fmt.Sprintf("%s %s %s %q", name, caller.UserID(), claims, caller.Request().Header["Cookie"]), err
		}))
		if secrets[name] != "" {
			h.SetKeys(keysOf(t, secrets[name]))
		}
		d.at[name] = serviceclient.New(h, o, nil)
	}
	d.Handler = serviceclient.Handler(func(name string) *serviceclient.Endpoint { return d.at[strings.ToLower(name)] })
	return d
}

// end ends the endpoints, and cuts what the test left.
func (d *door) end() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for e := range maps.Values(d.at) {
		_ = e.Shutdown(ctx)
	}
}

func (d *door) ask(ctx context.Context, method, target, token string, header ...string) *httptest.ResponseRecorder {
	method, body, _ := strings.Cut(method, " ")
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

// negotiate returns the URL of a connection to the hub chat.
func (d *door) negotiate(token string) string {
	d.Helper()
	w := d.ask(d.Context(), "POST", "/client/negotiate?hub=chat&negotiateVersion=1", token)
	var offer signalr.Negotiation
	if err := json.Unmarshal(w.Body.Bytes(), &offer); err != nil || offer.ConnectionToken == "" || offer.TokenLifetimeSeconds != 0 || offer.UseStatefulReconnect {
		d.Fatal(w.Code, w.Body, err)
	}
	return "/client/?hub=chat&id=" + offer.ConnectionToken
}

func sign(t *testing.T, hub string, g accesskey.Grant) string {
	t.Helper()
	if g.Expires.IsZero() {
		g.Expires = time.Now().Add(time.Minute)
	}
	if g.Audience == "" {
		g.Audience = "http://localhost/client/?hub=" + hub
	}
	token, err := keysOf(t, secrets[hub]).Sign(g)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

var handshake = []string{
	"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==",
}

// Only a token for clients of the hub opens anything, in the header or, for WebSockets and event
// streams without that header, in the URL.
func TestTokensThatOpenNothing(t *testing.T) {
	t.Parallel()
	d := newDoor(t, endpoint.Options{})
	defer d.end()
	good := sign(t, "chat", accesskey.Grant{})
	for name, c := range map[string]struct{ header, query string }{
		"none":                           {},
		"of another hub":                 {header: sign(t, "news", accesskey.Grant{})},
		"by the key of another hub":      {header: sign(t, "news", accesskey.Grant{Audience: "http://localhost/client/?hub=chat"})},
		"for another hub":                {header: sign(t, "chat", accesskey.Grant{Audience: "http://localhost/client/?hub=news"})},
		"for application servers":        {header: sign(t, "chat", accesskey.Grant{Audience: "http://localhost/server/?hub=chat"})},
		"for a request":                  {header: sign(t, "chat", accesskey.Grant{Audience: "http://localhost/api/hubs/chat/:send"})},
		"for this request":               {header: sign(t, "chat", accesskey.Grant{Audience: "http://localhost/client/negotiate?hub=chat"})},
		"expired":                        {header: sign(t, "chat", accesskey.Grant{Expires: time.Now().Add(-time.Minute)})},
		"the key":                        {header: secrets["chat"]},
		"in the header, good in the URL": {header: "x", query: good},
		"expired, in the URL":            {query: sign(t, "chat", accesskey.Grant{Expires: time.Now().Add(-time.Minute)})},
	} {
		query := "hub=chat&access_token=" + url.QueryEscape(c.query)
		for request, w := range map[string]*httptest.ResponseRecorder{
			"negotiation":  d.ask(t.Context(), "POST", "/client/negotiate?negotiateVersion=1&"+query, c.header),
			"WebSocket":    d.ask(t.Context(), "GET", "/client/?"+query, c.header, handshake...),
			"event stream": d.ask(t.Context(), "GET", d.negotiate(good)+"&access_token="+url.QueryEscape(c.query), c.header, "Accept", "text/event-stream"),
			"poll":         d.ask(t.Context(), "GET", d.negotiate(good), c.header),
		} {
			if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") || w.Body.Len() > 0 {
				t.Errorf("a token %s: %s: %d %s", name, request, w.Code, w.Body)
			}
		}
	}
	for target, want := range map[string]int{
		"/client/negotiate?hub=CHAT":                      http.StatusOK,
		"/client/negotiate?hub=silent":                    http.StatusUnauthorized,
		"/client/negotiate?hub=other":                     http.StatusNotFound,
		"/client/negotiate?hub=chat&hub=chat":             http.StatusNotFound,
		"/client/negotiate":                               http.StatusNotFound,
		"/client/refresh?hub=chat":                        http.StatusNotFound,
		"/client/negotiate?hub=chat&access_token=" + good: http.StatusOK,
	} {
		if w := d.ask(t.Context(), "POST", target+"&negotiateVersion=1", good); w.Code != want {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	if w := d.ask(t.Context(), "POST", "/client/negotiate?hub=chat&negotiateVersion=1&access_token="+good, ""); w.Code != http.StatusUnauthorized {
		t.Errorf("a negotiation with the token in the URL: %d", w.Code)
	}
	if w := d.ask(t.Context(), "POST", "/client/negotiate?hub=chat", good); !strings.Contains(w.Body.String(), "version '0'") {
		t.Errorf("version 0: %s", w.Body)
	}
}

const shake = "{\"protocol\":\"json\",\"version\":1}\x1e"

const who = "{\"type\":1,\"invocationId\":\"0\",\"target\":\"Who\",\"arguments\":[]}\x1e"

// answer polls until the answer to who has come.
func (d *door) answer(url, token string) string {
	d.Helper()
	text := ""
	for !strings.Contains(text, `"result":`) {
		w := d.ask(d.Context(), "GET", url, token)
		if text += w.Body.String(); w.Code != http.StatusOK {
			d.Fatal(w.Code, text)
		}
	}
	return text
}

// A token bounds the negotiation and the opening of a connection, and no later request.
func TestATokenBoundsTheOpeningAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, endpoint.Options{Options: transports.Options{DisconnectTimeout: time.Hour}})
		defer d.end()
		token := sign(t, "chat", accesskey.Grant{UserID: "ann", Expires: time.Now().Add(5 * time.Second)})
		polled, streamed, unopened := d.negotiate(token), d.negotiate(token), d.negotiate(token)
		d.ask(t.Context(), "GET", polled, token)
		d.ask(t.Context(), "POST "+shake, polled, token)
		ctx, leave := context.WithCancel(t.Context())
		stream := make(chan *httptest.ResponseRecorder)
		go func() {
			stream <- d.ask(ctx, "GET", streamed+"&access_token="+token, "", "Accept", "text/event-stream")
		}()
		synctest.Wait()
		d.ask(t.Context(), "POST "+shake, streamed, token)

		for range 4 { // within the time-out of the client
			time.Sleep(20 * time.Second) // of the bubble
			for _, url := range []string{polled, streamed} {
				if w := d.ask(t.Context(), "POST {\"type\":6}\x1e", url, token); w.Code != http.StatusOK {
					t.Fatalf("a POST: %d %s", w.Code, w.Body)
				}
			}
		}
		d.ask(t.Context(), "POST "+who, polled, token)
		if got := d.answer(polled, token); !strings.Contains(got, "chat ann") {
			t.Error(got)
		}
		d.ask(t.Context(), "POST "+who, streamed, token)
		synctest.Wait()
		leave()
		if got := (<-stream).Body.String(); !strings.Contains(got, "chat ann") {
			t.Error(got)
		}
		for name, w := range map[string]*httptest.ResponseRecorder{
			"a negotiation":  d.ask(t.Context(), "POST", "/client/negotiate?hub=chat&negotiateVersion=1", token),
			"a WebSocket":    d.ask(t.Context(), "GET", "/client/?hub=chat", token, handshake...),
			"a first poll":   d.ask(t.Context(), "GET", unopened, token),
			"a first stream": d.ask(t.Context(), "GET", unopened, token, "Accept", "text/event-stream"),
			"another token":  d.ask(t.Context(), "GET", polled, sign(t, "chat", accesskey.Grant{UserID: "ann", Audience: "http://localhost/client/?hub=news"})),
		} {
			if w.Code != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		if w := d.ask(t.Context(), "GET", polled, sign(t, "chat", accesskey.Grant{UserID: "bob"})); w.Code != http.StatusForbidden {
			t.Errorf("another user: %d", w.Code)
		}
	})
}

// The claims asrs.s.coae and asrs.s.aeo end a connection, in an orderly way.
func TestConnectionsEndIfTheTokenSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, endpoint.Options{})
		defer d.end()
		const second = time.Second
		for name, c := range map[string]struct {
			coae           string        // the claim that says it
			exp, aeo, ends time.Duration // 0: none
		}{
			"not":                       {"", 10 * second, 5 * second, 0},
			"with the token":            {"asrs.s.coae", 10 * second, 0, 10 * second},
			"before the token":          {"asrs.s.coae", time.Hour, 5 * second, 5 * second},
			"after the token":           {"asrs.s.coae", second, 50 * second, 50 * second},
			"said by the user's claims": {"asrs.u.asrs.s.coae", 10 * second, 0, 0},
		} {
			begun := time.Now()
			claims := []accesskey.Claim{{Type: c.coae, Value: "true"}}
			if c.aeo > 0 {
				claims = append(claims, accesskey.Claim{Type: "asrs.s.aeo", Value: fmt.Sprint(begun.Add(c.aeo).Unix())})
			}
			token := sign(t, "chat", accesskey.Grant{Claims: claims, Expires: begun.Add(c.exp)})
			url := d.negotiate(token)
			d.ask(t.Context(), "GET", url, token)
			d.ask(t.Context(), "POST "+shake, url, token)
			var took time.Duration
			for text := ""; took == 0 && time.Since(begun) < time.Minute; {
				w := d.ask(t.Context(), "GET", url, token)
				if text += w.Body.String(); strings.Contains(text, `"type":7`) {
					took = time.Since(begun)
				} else if w.Code != http.StatusOK {
					t.Fatalf("%s: %d %s", name, w.Code, text)
				}
			}
			if took < c.ends || took > c.ends+2*time.Second {
				t.Errorf("%s: it ended after %v", name, took)
			}
			if w := d.ask(t.Context(), "POST", "/client/negotiate?hub=chat&negotiateVersion=1", token); (w.Code == http.StatusUnauthorized) != (took > 0 || c.exp < 30*time.Second) {
				t.Errorf("%s: a negotiation after its end: %d", name, w.Code)
			}
			d.ask(t.Context(), "DELETE", url, token)
		}
	})
}

// The pages of every origin may use the endpoint, or those of the allowed origins. Cookies are
// not needed, not passed on and not set.
func TestOrigins(t *testing.T) {
	t.Parallel()
	d := newDoor(t, endpoint.Options{})
	defer d.end()
	token := sign(t, "chat", accesskey.Grant{UserID: "ann"})
	const negotiate = "/client/negotiate?hub=chat&negotiateVersion=1"
	check := func(w *httptest.ResponseRecorder, status int, origin string) {
		t.Helper()
		h := w.Header()
		if w.Code != status || h.Get("Access-Control-Allow-Origin") != origin || (h.Get("Access-Control-Allow-Credentials") == "true") != (origin != "") || (h.Get("Vary") == "Origin") != (origin != "") || h.Get("Set-Cookie") != "" {
			t.Errorf("%d %v, want %d for %s", w.Code, h, status, origin)
		}
	}
	from := []string{"Origin", page, "Cookie", "session=ann", "Sec-Fetch-Site", "cross-site"}
	preflight := []string{"Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,x-own"}
	allow := func(origins ...string) { d.at["chat"].SetAllowedOrigins(origins) }
	for range 2 {
		check(d.ask(t.Context(), "POST", negotiate, token, from...), http.StatusOK, page)
		check(d.ask(t.Context(), "POST", negotiate, "", from...), http.StatusUnauthorized, page)
		w := d.ask(t.Context(), "OPTIONS", negotiate, "", preflight...)
		if check(w, http.StatusNoContent, page); w.Header().Get("Access-Control-Allow-Headers") != "authorization,x-own" {
			t.Error(w.Header())
		}
		allow("https://other.example")
		check(d.ask(t.Context(), "POST", negotiate, token, from...), http.StatusForbidden, "")
		check(d.ask(t.Context(), "GET", "/client/?hub=chat&access_token="+token, "", append(handshake, from...)...), http.StatusForbidden, "")
		check(d.ask(t.Context(), "OPTIONS", negotiate, "", preflight...), http.StatusNoContent, "")
		allow(page)
		check(d.ask(t.Context(), "POST", negotiate, token, from...), http.StatusOK, page)
		allow()
	}
	url := d.negotiate(token)
	d.ask(t.Context(), "GET", url, token, from...)
	d.ask(t.Context(), "POST "+shake+who, url, token, from...)
	if got := d.answer(url, token); !strings.Contains(got, `chat ann {\"nameid\":\"ann\"} []`) {
		t.Error(got)
	}
}

// A client that negotiates with an application follows its redirect, over each transport, and is
// the user of the token. The claim for groups of the connect call is not believed.
func TestClientsFollowTheRedirectOfAnApplication(t *testing.T) {
	t.Parallel()
	d := newDoor(t, endpoint.Options{})
	server := httptest.NewServer(d)
	defer server.Close()
	defer d.end()
	token := sign(t, "chat", accesskey.Grant{UserID: "bob", Claims: []accesskey.Claim{
		{Type: "asrs.s.uid", Value: "ann"}, {Type: "role", Value: "a"}, {Type: "role", Value: "b"}, {Type: "role", Value: "c"}, {Type: "asrs.u.exp", Value: "mine"},
		{Type: "carillon.groups", Value: "secret"}, {Type: "asrs.u.carillon.groups", Value: "secret"},
	}})
	application := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"url": server.URL + "/client/?hub=chat", "accessToken": token})
	}))
	defer application.Close()
	for _, transport := range signalr.Transports() {
		c := client.New(application.URL+"/chat", client.Options{Transports: []client.Transport{transport}})
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(transport, err)
		}
		got, err := client.Invoke[string](t.Context(), c, "Who")
		if want := `chat ann {"exp":"mine","nameid":"bob","role":["a","b","c"]} []`; err != nil || got != want || c.Transport() != transport {
			t.Errorf("%s: %s, %v", c.Transport(), got, err)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Error(transport, err)
		}
	}
	if !slices.Equal(serviceclient.Paths(), []string{"/client", "/client/negotiate"}) {
		t.Error(serviceclient.Paths())
	}
}
