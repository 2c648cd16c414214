package integration_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// startTickets serves a hub whose clients get tickets, behind something that refuses the
// transports which the parameter refused of a request's URL names. Its method Who answers with
// the caller's user and transport.
func startTickets(t *testing.T) (url string) {
	t.Helper()
	h := hub.New(hub.Options{})
	h.Handle("Who", hub.Func0(func(ctx context.Context) (string, error) {
		c := hub.CallerFrom(ctx)
		return c.UserID() + " by " + c.Transport(), nil
	}))
	e := endpoint.New(h, endpoint.Options{TicketLifetime: 30 * time.Second})
	tokens := auth.Func(func(r *http.Request) (*auth.User, error) {
		text, _ := auth.Token(r)
		if text != "alices-token" {
			return nil, errors.New("not a token")
		}
		return &auth.User{ID: "alice"}, nil
	})
	server := httptest.NewServer(refuseTransports(auth.Middleware(e.Authenticator(tokens), auth.Require(nil, e))))
	t.Cleanup(func() {
		_ = e.Shutdown(t.Context()) // cuts what a client left
		server.Close()
	})
	return server.URL
}

func refuseTransports(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := transports.LongPolling
		switch {
		case r.Header.Get("Upgrade") != "":
			kind = transports.WebSockets
		case r.Header.Get("Accept") == "text/event-stream":
			kind = transports.ServerSentEvents
		}
		if r.Method == http.MethodGet && strings.Contains(r.URL.Query().Get("refused"), string(kind)) {
			http.Error(w, "refused on the way", http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// TestTicketsFallBack: where a transport is refused on the way the official client and ours negotiate again with their
// ticket, and connect by the next one.
func TestTicketsFallBack(t *testing.T) {
	url := startTickets(t)
	for _, c := range []struct{ refused, used string }{
		{"", "WebSockets"}, {"WebSockets", "ServerSentEvents"}, {"WebSockets,ServerSentEvents", "LongPolling"},
	} {
		url := url + "/hub?refused=" + c.refused
		t.Run("by "+c.used, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			out, err := nodeCommand(ctx, t, "ticket.js", "URL="+url, "TOKEN=alices-token").Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != "alice by "+c.used {
				t.Errorf("the official client: %q, %v", got, err)
			}
			conn := client.New(url, client.Options{Memory: client.NewMemory(), AccessToken: func(context.Context) (string, error) { return "alices-token", nil }})
			if err := conn.Start(ctx); err != nil {
				t.Fatal(err)
			}
			if got, err := client.Invoke[string](ctx, conn, "Who"); err != nil || got != "alice by "+c.used {
				t.Errorf("ours: %q, %v", got, err)
			}
			if err := conn.Stop(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
