package endpoint_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/forwarded"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// negotiation asks e for a connection, as a client at an address and as a user.
func negotiation(e http.Handler, address, user string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/hub/negotiate?negotiateVersion=1", nil)
	r.RemoteAddr = address
	if user != "" {
		r = r.WithContext(auth.WithUser(r.Context(), &auth.User{ID: user}))
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// Nobody gets around the limit of an address, which a proxy's own has not, by a header that
// contradicts what the proxy writes.
func TestContradictionIsLimited(t *testing.T) {
	e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{})
	defer func() { _ = e.Shutdown(t.Context()) }()
	behind := forwarded.Trust([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})(e)
	contradicting := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		r.Header.Set("Forwarded", "for=198.51.100.1")
		behind.ServeHTTP(w, r)
	})
	status := http.StatusOK
	for i := 0; i < 2000 && status == http.StatusOK; i++ {
		status = negotiation(contradicting, "10.0.0.1:1", "").Code
	}
	if status != http.StatusTooManyRequests {
		t.Error("an address without a limit:", status)
	}
}

func TestLimits(t *testing.T) {
	type step struct {
		address, user string
		want          int
	}
	for name, c := range map[string]struct {
		limits transports.Limits
		steps  []step
		want   transports.Refusals
	}{
		"in all": {
			transports.Limits{Connections: 2},
			[]step{{"192.0.2.1:1", "", 200}, {"192.0.2.2:1", "", 200}, {"192.0.2.3:1", "", 503}},
			transports.Refusals{Connections: 1},
		},
		"of a user": {
			transports.Limits{ConnectionsPerUser: 1},
			[]step{{"192.0.2.1:1", "a", 200}, {"192.0.2.2:1", "a", 429}, {"192.0.2.1:1", "b", 200}, {"192.0.2.1:1", "", 200}, {"192.0.2.1:1", "", 200}},
			transports.Refusals{User: 1},
		},
		"of an address": {
			transports.Limits{ConnectionsPerAddress: 1},
			[]step{
				{"192.0.2.1:1", "", 200}, {"192.0.2.1:2", "", 429}, {"[::ffff:192.0.2.1]:3", "", 429},
				{"[2001:db8::1]:1", "", 200}, {"[2001:db8::2]:1", "", 429}, {"[2001:db8:0:1::2]:1", "", 200},
				{"nonsense", "", 200}, {"nonsense", "", 200},
			},
			transports.Refusals{Address: 3},
		},
		"too often": {
			transports.Limits{NegotiationsPerAddress: 1},
			append(slicesRepeat(step{"192.0.2.1:1", "", 200}, 11), step{"192.0.2.1:1", "", 429}, step{"192.0.2.2:1", "", 200}),
			transports.Refusals{Negotiations: 1},
		},
		"none": {
			transports.Limits{Connections: -1, ConnectionsPerUser: -1, ConnectionsPerAddress: -1, NegotiationsPerAddress: -1},
			slicesRepeat(step{"192.0.2.1:1", "a", 200}, 2000),
			transports.Refusals{},
		},
		"a proxy's, by default": {transports.Limits{}, slicesRepeat(step{"10.0.0.1:1", "", 200}, 2000), transports.Refusals{}},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			e := endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{
				Limits: c.limits, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			}})
			for i, s := range c.steps {
				w := negotiation(e, s.address, s.user)
				if w.Code != s.want || (w.Code != 200) != (w.Header().Get("Retry-After") != "") || w.Code != 200 && w.Body.Len() > 0 {
					t.Fatalf("step %d, %+v: %d %v %q", i, s, w.Code, w.Header(), w.Body)
				}
			}
			if got := e.Refusals(); got != c.want {
				t.Errorf("counted %+v", got)
			}
			if refused := c.want != (transports.Refusals{}); strings.Contains(log.String(), "limit reached") != refused {
				t.Errorf("logged %q", &log)
			}
			end(t, e)
			if w := negotiation(e, "192.0.2.9:1", ""); w.Code != http.StatusServiceUnavailable {
				t.Errorf("after the end: %d", w.Code)
			}
		})
	}
}

func slicesRepeat[T any](v T, n int) (all []T) {
	for range n {
		all = append(all, v)
	}
	return all
}

func end(t *testing.T, e *endpoint.Endpoint) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = e.Shutdown(ctx)
	if e.Connections() != 0 {
		t.Error("connections are left")
	}
}

// What has ended is not counted any more.
func TestLimitsCountWhatIsThere(t *testing.T) {
	e := endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{Limits: transports.Limits{Connections: 1, ConnectionsPerUser: 1, ConnectionsPerAddress: 1}}})
	server := httptest.NewServer(e)
	defer server.Close()
	defer end(t, e)
	for range 3 {
		url := open(t, server.URL+"/echo")
		response, err := http.Get(url) // the first poll opens it
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodDelete, url, nil)
		if response, err = http.DefaultClient.Do(r); err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		awaitConnections(e, 0)
	}
}

// One connection may have no more waiting than is free for all together; to one that has nothing waiting a message is
// sent in any case.
func TestQueueLimit(t *testing.T) {
	connections := make(keeping, 2)
	var log strings.Builder
	e := endpoint.NewRaw(connections, endpoint.Options{Options: transports.Options{
		Limits: transports.Limits{QueueBytes: 3000}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}})
	server := httptest.NewServer(e)
	defer server.Close()
	defer end(t, e)
	var both []transports.Connection
	for range 2 {
		response, err := http.Get(open(t, server.URL+"/echo")) // nobody polls on
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		both = append(both, <-connections)
	}
	f := frame.New([]byte(strings.Repeat("x", 500)), false)
	send := func(i int, wants ...error) {
		t.Helper()
		for n, want := range wants {
			if err := both[i].Send(f); !errors.Is(err, want) {
				t.Errorf("connection %d, %d: %v", i, n, err)
			}
		}
	}
	send(0, nil, nil, nil, transports.ErrQueueFull)
	send(1, nil, nil, transports.ErrQueueFull)
	send(0, transports.ErrQueueFull)
	both[0].Abort(nil)
	send(1, nil)
	if got := e.Refusals().Queue; got != 3 || !strings.Contains(log.String(), "queued bytes") {
		t.Errorf("counted %d, logged %q", got, &log)
	}
}

// keeping hands out the connections that come.
type keeping chan transports.Connection

func (k keeping) Connect(c transports.Connection) (transports.Receiver, error) {
	k <- c
	return &echoing{c}, nil
}
