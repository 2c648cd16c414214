package longpolling_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/connection/connectiontest"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/longpolling"
)

// patience bounds what a test waits for; nothing is asserted about it.
const patience = time.Minute

// site is an application behind an HTTP server with middleware.
type site struct {
	t        *testing.T
	registry *connection.Registry
	http     *httptest.Server
	// served is told of each request of a poller whose handler has returned, which it does
	// while a poll waits outside of the HTTP server.
	served chan struct{}
	posted chan string
	// returned are what the methods of a writer returned to a handler.
	returned chan []any
	cut      chan struct{}
	// accepted counts the connections that the HTTP server serves, hijacked those taken
	// from it.
	accepted, hijacked chan struct{}
}

func newSite(t *testing.T, o transports.Options, setUp func(*httptest.Server)) *site {
	t.Helper()
	s := &site{
		t: t, returned: make(chan []any, 100), served: make(chan struct{}, 100), posted: make(chan string, 100),
		cut: make(chan struct{}, 100), accepted: make(chan struct{}, 100), hijacked: make(chan struct{}, 100),
	}
	s.registry = connection.NewRegistry(s, o)
	handler := connection.NewHandler(s.registry, map[transports.Type]connection.Carry{transports.LongPolling: longpolling.Carry(s.registry)})
	s.http = httptest.NewUnstartedServer(s.middleware(handler))
	s.http.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.accepted <- struct{}{}
		case http.StateHijacked:
			s.hijacked <- struct{}{}
		}
	}
	if setUp != nil {
		setUp(s.http)
	}
	s.http.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.registry.Shutdown(ctx)
		s.http.Close()
	})
	return s
}

func (s *site) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { s.served <- struct{}{} }()
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("Access-Control-Allow-Origin", "https://app.example")
		w.Header().Set("X-Address", r.RemoteAddr)
		if answer := answers[r.Header.Get("X-Test")]; answer != nil {
			s.returned <- answer(w, http.NewResponseController(w))
			return
		}
		switch r.Header.Get("X-Test") {
		case "refuse":
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "<html>who are you?")
			return
		case "panic":
			panic(http.ErrAbortHandler)
		case "exit first":
			runtime.Goexit()
		case "exit":
			defer runtime.Goexit()
		case "flusher":
			defer w.(http.Flusher).Flush()
		case "hijack":
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				s.t.Error(err)
				return
			}
			_, _ = rw.WriteString("taken")
			_ = rw.Flush()
			_ = conn.Close()
			return
		case "context":
			if r.Context().Value(http.LocalAddrContextKey).(net.Addr).String() != r.Host {
				s.t.Error("the local address is not in the context")
			}
		}
		next.ServeHTTP(w, r)
	})
}

// Connect implements transports.Application.
func (s *site) Connect(transports.Connection) (transports.Receiver, error) { return receiver{s}, nil }

type receiver struct{ s *site }

func (r receiver) Receive(b []byte) error { r.s.posted <- string(b); return nil }
func (r receiver) Disconnected(error)     {}

// Observe implements transports.Observer.
func (s *site) Observe(e transports.Event) {
	if e.Kind == transports.Cut {
		s.cut <- struct{}{}
	}
}

func await[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("it does not happen")
	}
	return v
}

// open makes a connection whose first poll is answered.
func (s *site) open() (*connection.Connection, *poller) {
	s.t.Helper()
	n := connectiontest.Promise(s.t, s.registry, s)
	c := s.registry.Find(n.Token())
	p := s.dial(c)
	p.poll()
	p.expect("")
	return c, p
}

// poller is a client on one TCP connection.
type poller struct {
	s    *site
	conn net.Conn
	r    *bufio.Reader
	head string
}

func (s *site) dial(c *connection.Connection) *poller {
	s.t.Helper()
	return s.dialBy(new(net.Dialer), c)
}

func (s *site) dialBy(d *net.Dialer, c *connection.Connection) *poller {
	s.t.Helper()
	conn, err := d.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	await(s.t, s.accepted)
	return &poller{s, conn, bufio.NewReader(conn), " /hub?id=" + c.Token() + " HTTP/1.1\r\nHost: " + s.http.Listener.Addr().String() + "\r\n"}
}

func (p *poller) write(text string) {
	p.s.t.Helper()
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.s.t.Fatal(err)
	}
}

func (p *poller) poll(headers ...string) {
	p.s.t.Helper()
	p.write("GET" + p.head + strings.Join(headers, "") + "\r\n")
}

// park polls, and returns when the poll waits outside of the HTTP server.
func (p *poller) park(headers ...string) {
	p.s.t.Helper()
	p.poll(headers...)
	await(p.s.t, p.s.served)
}

func (p *poller) read() *http.Response {
	p.s.t.Helper()
	response, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.s.t.Fatal(err)
	}
	p.s.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// expect reads an answer of 200 with a body.
func (p *poller) expect(body string) *http.Response {
	p.s.t.Helper()
	response := p.read()
	got, err := io.ReadAll(response.Body)
	if err != nil || string(got) != body || response.StatusCode != http.StatusOK {
		p.s.t.Errorf("%s, %.20q of %d bytes, %v; want %.20q", response.Status, got, len(got), err, body)
	}
	return response
}

func (p *poller) expectEOF() {
	p.s.t.Helper()
	if b, err := p.r.ReadByte(); err != io.EOF {
		p.s.t.Errorf("%q, %v at the end of the connection", b, err)
	}
}

func send(t *testing.T, c *connection.Connection, text string) {
	t.Helper()
	if err := c.Send(frame.New([]byte(text), false)); err != nil {
		t.Error(err)
	}
}

// With KeepPollsInServer middleware sees the true end of a poll, and the HTTP server keeps the
// network connection.
func TestPollsKeptInServer(t *testing.T) {
	s := newSite(t, transports.Options{KeepPollsInServer: true}, nil)
	c, p := s.open()
	await(t, s.served)
	p.poll()
	send(t, c, "x")
	await(t, s.served)
	p.expect("x")
	p.poll()
	select {
	case <-s.served:
		t.Error("the handler of a poll returned before the answer")
	case <-s.hijacked:
		t.Error("a poll left the HTTP server")
	case <-time.After(100 * time.Millisecond): // long enough to leave the server
	}
	send(t, c, "y")
	await(t, s.served)
	p.expect("y")
}
