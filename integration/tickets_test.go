package integration_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/integration/clients"
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
		if r.URL.Query().Get("muted") == string(kind) {
			w = &mutedWriter{w}
		}
		next.ServeHTTP(w, r)
	})
}

// mutedWriter lets a WebSocket open, and nothing of what the server then says through.
type mutedWriter struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (w *mutedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	muted := &mutedConn{Conn: conn}
	return muted, bufio.NewReadWriter(rw.Reader, bufio.NewWriter(muted)), nil
}

// mutedConn sends the answer to the handshake alone.
type mutedConn struct {
	net.Conn
	said atomic.Bool
}

// Write implements net.Conn.
func (c *mutedConn) Write(b []byte) (int, error) {
	if c.said.Swap(true) {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestTicketThatIsUsedUp: a WebSocket on which the handshake is not answered has used up its ticket, and our client, which
// tries the next transport then, gets another.
func TestTicketThatIsUsedUp(t *testing.T) {
	t.Parallel()
	conn := client.New(startTickets(t)+"/hub?muted=WebSockets", client.Options{
		Memory: client.NewMemory(), HandshakeTimeout: time.Second,
		AccessToken: func(context.Context) (string, error) { return "alices-token", nil },
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := conn.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Invoke[string](ctx, conn, "Who"); err != nil || got != "alice by ServerSentEvents" {
		t.Errorf("%q, %v", got, err)
	}
	if err := conn.Stop(ctx); err != nil {
		t.Error(err)
	}
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
			out, err := clients.Node(ctx, t, "ticket.js", "URL="+url, "TOKEN=alices-token").Output()
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
