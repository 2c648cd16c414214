package serversentevents_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/connection/connectiontest"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/serversentevents"
)

// patience bounds what a test waits for; nothing is asserted about it.
const patience = time.Minute

// mute is an application that receives nothing.
type mute struct{ connected chan *connection.Connection }

func (a mute) Connect(c transports.Connection) (transports.Receiver, error) {
	a.connected <- c.(*connection.Connection)
	return a, nil
}

func (mute) Receive([]byte) error { return nil }
func (mute) Disconnected(error)   {}

// site is an application behind one carrier and a middleware.
type site struct {
	registry *connection.Registry
	http     *httptest.Server
	app      mute
}

func newSite(t *testing.T, o transports.Options, middleware func(http.Handler) http.Handler, start func(*httptest.Server)) *site {
	t.Helper()
	s := &site{app: mute{make(chan *connection.Connection, 10)}}
	s.registry = connection.NewRegistry(s.app, o)
	s.http = httptest.NewUnstartedServer(middleware(connection.NewHandler(s.registry,
		map[transports.Type]connection.Carry{transports.ServerSentEvents: serversentevents.Carry(s.registry)})))
	start(s.http)
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
	_, conn := s.dial(t)
	return bufio.NewReader(conn)
}

// dial asks for the event stream of the connection that token names.
func (s *site) dial(t *testing.T) (token string, conn net.Conn) {
	t.Helper()
	n := connectiontest.Promise(t, s.registry, nil)
	conn, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if s.http.TLS != nil {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the server is the test's
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err = fmt.Fprintf(conn, "GET /?id=%s HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n", n.Token())
	if err != nil {
		t.Fatal(err)
	}
	return n.Token(), conn
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
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(connectiontest.Kept{ResponseWriter: w}, r) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, transports.Options{}, middleware, (*httptest.Server).Start)
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

// A stream that is held back must not look as if it had ended in order, also where a
// middleware recovers from panics.
func TestAbortBehindRecovery(t *testing.T) {
	recovering := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if p := recover(); p != nil {
					t.Error("the stream ends by a panic")
				}
			}()
			h.ServeHTTP(connectiontest.Kept{ResponseWriter: w}, r)
		})
	}
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, transports.Options{HoldTimeout: 10 * time.Millisecond}, recovering, start)
			n := connectiontest.Promise(t, s.registry, nil)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.http.URL+"/?id="+n.Token(), nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Accept", "text/event-stream")
			response, err := s.http.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if body, err := io.ReadAll(response.Body); err == nil {
				t.Errorf("the stream ends in order behind %q", body)
			}
		})
	}
}

// post sends an empty POST for the connection of a token.
func (s *site) post(t *testing.T, token string) int {
	t.Helper()
	response, err := s.http.Client().Post(s.http.URL+"/?id="+token, "", nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// A client may post beside reading the last words. The answer comes when it has closed its
// stream, or the client would take it for the end and reconnect.
func TestPostsBesideTheEnd(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS,
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, transports.Options{}, plain, start)
			for !s.awaitsItsClient(t) {
			}
		})
	}
}

// awaitsItsClient opens a stream, ends it, posts, and then has the client close it. It
// returns false if that took so long that it shows nothing.
func (s *site) awaitsItsClient(t *testing.T) bool {
	token, conn := s.dial(t)
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	begun := time.Now()
	(<-s.app.connected).Close(nil)
	if _, err := io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	if b, err := r.ReadByte(); err != io.EOF {
		t.Errorf("%q, %v behind the end", b, err)
	}
	statuses := make(chan int, 1)
	go func() { statuses <- s.post(t, token) }()
	early := 0
	select {
	case early = <-statuses:
	case <-time.After(serversentevents.CloseGrace / 4):
	}
	switch {
	case time.Since(begun) > serversentevents.CloseGrace:
		return false
	case early != 0:
		t.Fatalf("a POST before the client has closed its stream is answered %d", early)
	}
	_ = conn.Close()
	if status := <-statuses; status != http.StatusNotFound {
		t.Errorf("the POST is answered %d", status)
	}
	return true
}
