package client_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/signalr"
)

// office hands out tokens that are good for a short time: "token NAME UNIXNANO". It serves a hub that
// closes connections whose token has ended.
type office struct {
	t    *testing.T
	url  string
	name string
	log  bytes.Buffer

	failed    atomic.Bool // a refresh
	refreshed chan int    // the status of each that was answered

	mu   sync.Mutex
	ends time.Time // of the first token
}

const shortLife = 3 * time.Second

func newOffice(t *testing.T, tickets time.Duration) *office {
	t.Helper()
	o := &office{t: t, name: "alice", refreshed: make(chan int, 100)}
	h := hub.New(hub.Options{})
	h.Handle("Echo", hub.Func1(func(_ context.Context, text string) (string, error) { return text, nil }))
	e := endpoint.New(h, endpoint.Options{EnableAuthenticationRefresh: true, CloseOnAuthenticationExpiration: true, TicketLifetime: tickets})
	guarded := auth.Middleware(e.Authenticator(auth.Func(whose)), auth.Require(nil, e))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/refresh") {
			o.refresh(w, r, guarded)
			return
		}
		guarded.ServeHTTP(w, r)
	}))
	o.url = server.URL + "/hub"
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return o
}

// refresh notes how a refresh went; the first is not answered by the hub, as that of a server
// that is just being restarted.
func (o *office) refresh(w http.ResponseWriter, r *http.Request, hub http.Handler) {
	if !o.failed.Swap(true) {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	recorder := httptest.NewRecorder()
	hub.ServeHTTP(recorder, r)
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes())
	o.refreshed <- recorder.Code
}

// whose reads a token.
func whose(r *http.Request) (*auth.User, error) {
	text, _ := auth.Token(r)
	var name string
	var nanos int64
	if _, err := fmt.Sscanf(text, "token-%s %d", &name, &nanos); err != nil {
		return nil, &auth.TokenError{Reason: "no token"}
	}
	ends := time.Unix(0, nanos)
	if time.Now().After(ends) {
		return nil, &auth.TokenError{Reason: "ended"}
	}
	return &auth.User{ID: name, Expires: ends}, nil
}

func (o *office) token(context.Context) (string, error) {
	ends := time.Now().Add(shortLife)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ends.IsZero() {
		o.ends = ends
	}
	return fmt.Sprintf("token-%s %d", o.name, ends.UnixNano()), nil
}

func (o *office) options(transport client.Transport) client.Options {
	return client.Options{
		Transports: []client.Transport{transport}, Memory: client.NewMemory(),
		AccessToken: o.token,
		Logger:      slog.New(slog.NewTextHandler(&o.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// TestRefreshAccessToken: a connection outlives its first token, and a refresh that fails.
func TestRefreshAccessToken(t *testing.T) {
	for _, transport := range signalr.Transports() {
		for name, tickets := range map[string]time.Duration{"by token": 0, "by ticket": time.Minute} {
			t.Run(string(transport)+" "+name, func(t *testing.T) {
				t.Parallel()
				o := newOffice(t, tickets)
				c := client.New(o.url, o.options(transport))
				if err := c.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				id := c.ConnectionID()
				// Behind the end of the first token, and what the server needs to see it.
				for time.Now().Before(o.ends.Add(2 * time.Second)) {
					o.awaitRefresh(http.StatusOK)
				}
				got, err := client.Invoke[string](t.Context(), c, "Echo", "still here")
				if err != nil || got != "still here" || c.ConnectionID() != id || c.State() != client.Connected {
					t.Errorf("%q, %v, %v", got, err, c.State())
				}
				if err := c.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				if strings.Contains(o.log.String(), "token-") {
					t.Errorf("a token is in the log: %s", &o.log)
				}
			})
		}
	}
}

// awaitRefresh waits for the next one that the hub answers.
func (o *office) awaitRefresh(want int) {
	o.t.Helper()
	select {
	case status := <-o.refreshed:
		if status != want {
			o.t.Fatalf("a refresh is answered %d", status)
		}
	case <-time.After(time.Minute):
		o.t.Fatal("no refresh comes")
	}
}

// TestRefusedRefresh: a server that has refused is not asked again. The connection goes on to the end of
// its token.
func TestRefusedRefresh(t *testing.T) {
	o := newOffice(t, 0)
	c := client.New(o.url, o.options(client.WebSockets))
	ended := make(chan error, 1)
	c.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.To == client.Disconnected {
			ended <- change.Err
		}
	})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	o.name = "mallory"
	o.mu.Unlock()
	o.awaitRefresh(http.StatusForbidden)
	<-ended
	if len(o.refreshed) > 0 {
		t.Error("it was asked again")
	}
	if text := o.log.String(); !strings.Contains(text, "user_changed") || strings.Contains(text, "token-") {
		t.Errorf("logged %q", text)
	}
}
