package serversentevents_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/serversentevents"
)

// patience bounds what a test waits for; nothing is asserted about it.
const patience = 20 * time.Second

// mute is an application that receives nothing.
type mute struct{ connected chan *transports.Connection }

func (a mute) Connect(c *transports.Connection) (transports.Receiver, error) {
	a.connected <- c
	return a, nil
}

func (mute) Receive([]byte) error { return nil }
func (mute) Disconnected(error)   {}

// site is an application behind one carrier and a middleware.
type site struct {
	registry *transports.Registry
	http     *httptest.Server
	app      mute
}

func newSite(t *testing.T, o transports.Options, middleware func(http.Handler) http.Handler) *site {
	t.Helper()
	s := &site{app: mute{make(chan *transports.Connection, 10)}}
	s.registry = transports.NewRegistry(s.app, o)
	s.http = httptest.NewServer(middleware(transports.NewHandler(s.registry,
		map[transports.Type]transports.Carry{transports.ServerSentEvents: serversentevents.Carry(s.registry.Running())})))
	t.Cleanup(func() {
		_ = s.registry.Shutdown(t.Context())
		s.http.Close()
	})
	return s
}

func plain(h http.Handler) http.Handler { return h }

// open asks for an event stream over a network connection of its own.
func (s *site) open(t *testing.T) *bufio.Reader {
	t.Helper()
	n, err := s.registry.Negotiate(&http.Request{}, true)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = fmt.Fprintf(conn, "GET /?id=%s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", n.Token())
	if err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(conn)
}

// A stream whose network connection ends with it says so before: a client that keeps
// connections would send its next request there, and a proxy that of somebody else.
func TestEndIsAnnounced(t *testing.T) {
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"HTTP/1.1": plain,
		"a middleware with another opinion": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "keep-alive")
				h.ServeHTTP(w, r)
			})
		},
		"within the HTTP server": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(kept{w}, r) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, transports.Options{}, middleware)
			r := s.open(t)
			response, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			(<-s.app.connected).Close(nil)
			if _, err := io.ReadAll(response.Body); err != nil {
				t.Fatal(err)
			}
			if response.Close {
				if b, err := r.ReadByte(); err != io.EOF {
					t.Errorf("%q, %v behind the end", b, err)
				}
			} else if name != "within the HTTP server" {
				t.Error("the answer does not say that its connection ends")
			}
		})
	}
}
