package cookbook

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"

	"github.com/carillon-go/carillon/examples/cookbook/contract"
)

var acme = contract.Price{Share: "ACME", Cents: 4200}

// newTestMarket returns a market with one share.
func newTestMarket(t *testing.T, o hub.Options) (*hub.Hub, *market) {
	t.Helper()
	h := hub.New(o)
	return h, open(t, h)
}

// open opens the market of a hub.
func open(t *testing.T, h *hub.Hub) *market {
	t.Helper()
	m := newMarket(h, time.Second)
	if err := m.set(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAWatcherSeesNewPrices(t *testing.T) {
	h, m := newTestMarket(t, hub.Options{})
	ann := hubtest.Connect(t, h, hubtest.As("ann"))
	if err := m.Watch(ann.Context(), "ACME"); err != nil {
		t.Fatal(err)
	}
	newest := contract.Price{Share: "ACME", Cents: 4300}
	if err := m.set(t.Context(), newest); err != nil {
		t.Fatal(err)
	}
	want := []hubtest.Call{hubtest.Called("Changed", newest)}
	if got := ann.Received(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNobodySeesPricesAfterUnwatch(t *testing.T) {
	h, m := newTestMarket(t, hub.Options{})
	ann := hubtest.Connect(t, h, hubtest.As("ann"))
	err := errors.Join(m.Watch(ann.Context(), "ACME"), m.Unwatch(ann.Context(), "ACME"), m.set(t.Context(), acme))
	if err != nil || len(ann.Received()) != 0 {
		t.Errorf("%v, got %v", err, ann.Received())
	}
}

// connectTrader returns a trader that is connected in memory.
func connectTrader(t *testing.T, h *hub.Hub, user string) *trader {
	t.Helper()
	c := hubtest.New(t, h, hubtest.As(user))
	trader := &trader{log: slog.New(slog.DiscardHandler), market: contract.NewMarketHubClient(c.HubConnection)}
	contract.ReceiveMarket(c.HubConnection, trader)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return trader
}

func TestAPurchaseIsConfirmedAndShownOnAllDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestMarket(t, hub.Options{})
		phone, laptop, other := connectTrader(t, h, "ann"), connectTrader(t, h, "ann"), connectTrader(t, h, "ben")
		if err := phone.buy(t.Context(), "ACME", 10); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // for the handlers
		if phone.bought != 10 || laptop.bought != 10 || other.bought != 0 {
			t.Errorf("bought %d, %d, %d", phone.bought, laptop.bought, other.bought)
		}
	})
}

func TestAPurchaseWithoutAnAnswerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestMarket(t, hub.Options{})
		c := hubtest.New(t, h, hubtest.As("ann"))
		c.On("Confirm", client.Func1(func(ctx context.Context, _ string) (bool, error) {
			<-ctx.Done() // the user does nothing
			return false, ctx.Err()
		}))
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ann := trader{market: contract.NewMarketHubClient(c.HubConnection)}
		if err := ann.buy(t.Context(), "ACME", 1); err == nil || err.Error() != "the market refuses: there was no answer" {
			t.Errorf("got %v", err)
		}
	})
}

func TestStreamsAndUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newTestMarket(t, hub.Options{})
		ann := connectTrader(t, h, "ann")
		rising := func() {
			for range 3 {
				time.Sleep(time.Second) // the bubble's clock
				acme := acme
				acme.Cents += 900
				if n, err := ann.importAll(t.Context(), []contract.Price{{Share: "B", Cents: 1}, acme}); n != 2 || err != nil {
					t.Errorf("imported %d, %v", n, err)
				}
			}
		}
		go rising()
		if p, err := ann.above(t.Context(), "ACME", 5000); err != nil || p.Cents != 5100 {
			t.Errorf("got %v, %v", p, err)
		}
		if _, err := ann.above(t.Context(), "NONE", 0); err == nil || !strings.Contains(err.Error(), "no such share: NONE") {
			t.Errorf("got %v", err)
		}
		time.Sleep(5 * time.Second) // the bubble's clock: until rising has ended
	})
}

func TestAFilterLogsInvocations(t *testing.T) {
	var log strings.Builder
	h, _ := newTestMarket(t, hub.Options{Filters: []hub.Filter{timing(slog.New(slog.NewJSONHandler(&log, nil)))}})
	ann := connectTrader(t, h, "ann")
	if err := ann.market.Watch(t.Context(), "NONE"); err == nil {
		t.Error("a share that does not exist is watched")
	}
	var line struct{ Method, User, Error string }
	if err := json.Unmarshal([]byte(log.String()), &line); err != nil {
		t.Fatal(err)
	}
	if line.Method != "Watch" || line.User != "ann" || line.Error != "no such share: NONE" {
		t.Errorf("logged %s", &log)
	}
}

func TestACallCarriesItsTrace(t *testing.T) {
	var log strings.Builder
	h, _ := newTestMarket(t, hub.Options{Filters: []hub.Filter{timing(slog.New(slog.NewJSONHandler(&log, nil)))}})
	const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if err := connectTrader(t, h, "ann").buyTraced(t.Context(), parent, "ACME", 1); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `"method":"Buy","user":"ann","trace":"`+parent) {
		t.Errorf("logged %s", &log)
	}
}

func TestOnlyABrokerHaltsAShareAndOnlyOnAWeekday(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins on a Saturday
		if weekday(t.Context(), nil) == nil {
			t.Error("the market is open on a Saturday")
		}
		time.Sleep(48 * time.Hour) // the bubble's clock
		h, _ := newTestMarket(t, hub.Options{})
		ann, bob := hubtest.Connect(t, h, hubtest.As("ann")), hubtest.Connect(t, h, hubtest.As("bob", "broker"))
		halt := func(c *hubtest.Client) error {
			return contract.NewMarketHubClient(c.HubConnection).Halt(t.Context(), "ACME")
		}
		if halt(ann) == nil {
			t.Error("everybody may halt a share")
		}
		if err := halt(bob); err != nil {
			t.Error(err)
		}
	})
}

// startSite serves a market for members with tokens, and news for all. token makes a token of ann.
func startSite(t *testing.T) (url string, token func(role string) string) {
	t.Helper()
	secret := []byte(strings.Repeat("secret", 6))
	tokens, err := newTokens(secret)
	if err != nil {
		t.Fatal(err)
	}
	market := newMarketHub()
	open(t, market)
	mux := http.NewServeMux()
	hubs := mount(mux, market, hub.New(hub.Options{}), tokens)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		if err := hubs.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return server.URL, func(role string) string {
		claims := jwt.MapClaims{
			"sub": "ann", "iss": "https://login.example.com/", "aud": "market", "role": role, "exp": time.Now().Add(time.Hour).Unix(),
		}
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
		if err != nil {
			t.Error(err)
		}
		return text
	}
}

func TestOnlyMembersReachTheMarket(t *testing.T) {
	url, token := startSite(t)
	for _, tt := range []struct {
		path, token string
		want        int
	}{
		{"/market", "", http.StatusUnauthorized},
		{"/market", token("guest"), http.StatusForbidden},
		{"/market", token("member"), http.StatusOK},
		{"/news", "", http.StatusOK},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+tt.path+"/negotiate?negotiateVersion=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != tt.want {
			t.Errorf("%s with token %q: %s", tt.path, tt.token, response.Status)
		}
	}
}

func TestATraderStaysConnected(t *testing.T) {
	url, token := startSite(t)
	ann := &trader{log: slog.New(slog.DiscardHandler)}
	conn := ann.connect(url+"/market", func(context.Context) (string, error) { return token("member"), nil })
	if err := during(t.Context(), conn, func(ctx context.Context) error { return ann.buy(ctx, "ACME", 1) }); err != nil {
		t.Error(err)
	}
}

func TestSessions(t *testing.T) {
	users := sessions(func(session string) (string, bool) { return "ann", session == "good" })
	for cookie, want := range map[string]string{"": "anonymous", "session=good": "ann", "session=bad": "the session does not exist"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Cookie", cookie)
		got := "anonymous"
		if user, err := users.Authenticate(r); err != nil {
			got = err.Error()
		} else if user != nil {
			got = user.ID
		}
		if got != want {
			t.Errorf("%q: %s, want %s", cookie, got, want)
		}
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	mux := http.NewServeMux()
	hubs := mount(mux, hub.New(hub.Options{}), hub.New(hub.Options{}), sessions(nil))
	if err := serve(ctx, "localhost:0", hubs, mux); err != nil {
		t.Error(err)
	}
}
