package longpolling_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/connection/connectiontest"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/longpolling"
)

// inside are servers whose polls wait within them.
var inside = map[string]func(*httptest.Server){
	"TLS":    (*httptest.Server).StartTLS,
	"HTTP/2": func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	"a context of each connection": func(s *httptest.Server) {
		s.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return ctx }
		s.Start()
	},
}

type hung struct {
	t        *testing.T
	registry *connection.Registry
	http     *httptest.Server
	cut      chan struct{}
	log      *record
}

func (h *hung) Connect(transports.Connection) (transports.Receiver, error) { return h, nil }
func (h *hung) Receive([]byte) error                                       { return nil }
func (h *hung) Disconnected(error)                                         {}

// Observe implements transports.Observer.
func (h *hung) Observe(e transports.Event) {
	if e.Kind == transports.Cut {
		h.cut <- struct{}{}
	}
}

// record is what was logged.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *record) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *record) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newHung(t *testing.T, o transports.Options, middleware func(http.Handler) http.Handler, start func(*httptest.Server)) *hung {
	t.Helper()
	h := &hung{t: t, cut: make(chan struct{}, 10), log: &record{}}
	o.Logger = slog.New(slog.NewTextHandler(h.log, nil))
	h.registry = connection.NewRegistry(h, o)
	handler := connection.NewHandler(h.registry, map[transports.Type]connection.Carry{transports.LongPolling: longpolling.Carry(h.registry)})
	h.http = httptest.NewUnstartedServer(middleware(handler))
	start(h.http)
	t.Cleanup(func() {
		_ = h.registry.Shutdown(t.Context())
		h.http.Close()
	})
	return h
}

// open makes a connection whose first poll is answered.
func (h *hung) open() *connection.Connection {
	h.t.Helper()
	n := connectiontest.Promise(h.t, h.registry, h)
	c := h.registry.Find(n.Token())
	h.expect(c, "")
	return c
}

// expect polls and wants an answer of 200 with a body.
func (h *hung) expect(c *connection.Connection, want string) {
	h.t.Helper()
	r, err := h.http.Client().Get(h.http.URL + "/hub?id=" + c.Token())
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Body.Close()
	if body, err := io.ReadAll(r.Body); err != nil || string(body) != want || r.StatusCode != http.StatusOK {
		h.t.Fatalf("%s %q, %v; want %q", r.Status, body, err, want)
	}
}

// A poll may wait for longer than the HTTP server gives requests and answers, and that time is
// not taken for the client's leaving.
func TestServerTimeouts(t *testing.T) {
	t.Parallel()
	hiding := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
		})
	}
	for name, start := range inside {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHung(t, transports.Options{PollTimeout: time.Second}, func(next http.Handler) http.Handler { return next }, func(s *httptest.Server) {
				s.Config.WriteTimeout, s.Config.ReadTimeout = 200*time.Millisecond, 200*time.Millisecond
				start(s)
			})
			h.wait()
		})
		t.Run(name+" behind a middleware that hides deadlines", func(t *testing.T) {
			t.Parallel()
			h := newHung(t, transports.Options{PollTimeout: time.Minute}, hiding, func(s *httptest.Server) {
				s.Config.WriteTimeout, s.Config.ReadTimeout = time.Second, time.Second
				start(s)
			})
			h.wait()
		})
	}
}

// wait has two polls wait in vain, and the next one fetch something.
func (h *hung) wait() {
	h.t.Helper()
	c := h.open()
	h.expect(c, "")
	h.expect(c, "")
	send(h.t, c, "x")
	h.expect(c, "x")
	select {
	case <-h.cut:
		h.t.Error("the end of a time-out is taken for a cut")
	default:
	}
}

// A poll is answered before the deadline that middleware gives its request, and one whose
// deadline is over all the same leaves what was sent to the next.
func TestDeadlineOfRequest(t *testing.T) {
	t.Parallel()
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"http.TimeoutHandler": func(next http.Handler) http.Handler { return http.TimeoutHandler(next, 4*time.Second, "late") },
		"a deadline of the context": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), 4*time.Second)
				defer cancel()
				next.ServeHTTP(w, r.WithContext(ctx))
				if errors.Is(ctx.Err(), context.DeadlineExceeded) && r.Method == http.MethodGet {
					t.Error("the poll was not answered in time")
				}
			})
		},
		"a deadline that is over": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeoutCause(r.Context(), 0, errors.New("it is late"))
				defer cancel()
				if r.Header.Get("X-Late") == "" {
					ctx = r.Context()
				}
				next.ServeHTTP(w, r.WithContext(ctx))
			})
		},
	} {
		for kind, start := range inside {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				late := name == "a deadline that is over"
				o := transports.Options{PollTimeout: time.Minute}
				if late {
					o.PollTimeout = 100 * time.Millisecond
				}
				h := newHung(t, o, middleware, start)
				if late {
					h.wait()
					h.late()
					return
				}
				h.wait()
			})
		}
	}
}

// late has a poll come whose deadline is over, and the next one fetch what was sent.
func (h *hung) late() {
	h.t.Helper()
	c := h.open()
	send(h.t, c, "y")
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.http.URL+"/hub?id="+c.Token(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("X-Late", "1")
	answer, err := h.http.Client().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		h.t.Errorf("%s, %v", answer.Status, err)
	}
	if len(body) == 0 {
		h.expect(c, "y")
	}
}

// A writer that hides http.Hijacker is logged once, with its type.
func TestHiddenHijackerIsLogged(t *testing.T) {
	t.Parallel()
	h := newHung(t, transports.Options{PollTimeout: time.Millisecond}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&hiding{w}, r) })
	}, (*httptest.Server).Start)
	c := h.open()
	h.expect(c, "")
	h.expect(c, "")
	if n := strings.Count(h.log.String(), "*longpolling_test.hiding"); n != 1 {
		t.Errorf("%d lines: %s", n, h.log)
	}
}

// hiding has only the methods of http.ResponseWriter.
type hiding struct{ w http.ResponseWriter }

func (h *hiding) Header() http.Header         { return h.w.Header() }
func (h *hiding) Write(b []byte) (int, error) { return h.w.Write(b) }
func (h *hiding) WriteHeader(status int)      { h.w.WriteHeader(status) }

// A writer whose Hijack asserts more than it has does not end the poll.
func TestHijackThatPanics(t *testing.T) {
	t.Parallel()
	h := newHung(t, transports.Options{PollTimeout: time.Millisecond}, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(asserting{&hiding{w}}, r) })
	}, (*httptest.Server).Start)
	h.wait()
}

type asserting struct{ http.ResponseWriter }

// Hijack implements http.Hijacker, if the inner writer does.
func (a asserting) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return a.ResponseWriter.(http.Hijacker).Hijack()
}
