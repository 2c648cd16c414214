package serversentevents_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/connection/connectiontest"
	"github.com/carillon-go/carillon/transports"
)

// connected waits for a connection.
func (s *site) connected(t *testing.T) *connection.Connection {
	t.Helper()
	select {
	case c := <-s.app.connected:
		return c
	case <-time.After(patience):
		t.Fatal("no connection comes")
		return nil
	}
}

func startHTTP2(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }

// get asks for an event stream.
func (s *site) get(t *testing.T, path string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.http.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Accept-Encoding", "gzip")
	response, err := s.http.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func (s *site) token(t *testing.T) string {
	t.Helper()
	n := connectiontest.Promise(t, s.registry, nil)
	return n.Token()
}

// A silent stream outlives what the HTTP server gives requests and answers.
func TestServerTimeouts(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){"HTTP/1.1": (*httptest.Server).Start, "HTTP/2": startHTTP2} {
		for _, inside := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", within the server"}[inside], func(t *testing.T) {
				t.Parallel()
				s := newSite(t, transports.Options{}, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if inside {
							w = connectiontest.Kept{ResponseWriter: w}
						}
						next.ServeHTTP(w, r)
					})
				}, func(s *httptest.Server) {
					s.Config.WriteTimeout, s.Config.ReadTimeout = time.Second, time.Second // also for the TLS handshake
					start(s)
				})
				body := s.get(t, "/?id="+s.token(t)).Body
				c := s.connected(t)
				time.Sleep(1500 * time.Millisecond) //nolint:forbidigo // the server's time-outs are to be over
				if err := c.Send(frame.New([]byte("x\x1e"), false)); err != nil {
					t.Fatal(err)
				}
				c.Close(nil)
				if got, err := io.ReadAll(body); err != nil || !strings.Contains(string(got), "x") {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
	}
}

// withDeadline gives requests a deadline.
func withDeadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 500*time.Millisecond)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

func behindTimeoutHandler(next http.Handler) http.Handler {
	return http.TimeoutHandler(next, patience, "late")
}

// A stream that would have to end at a deadline, or could not be flushed, is refused, so that
// the client tries its next transport.
func TestStreamThatCannotStayIsRefused(t *testing.T) {
	for name, middleware := range map[string]func(http.Handler) http.Handler{
		"deadline": withDeadline, "http.TimeoutHandler": behindTimeoutHandler,
		"no Flusher": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, transports.Options{}, middleware, startHTTP2)
			response := s.get(t, "/?id="+s.token(t))
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusNotFound || !strings.Contains(string(body), "not supported") {
				t.Errorf("%s %q, %v", response.Status, body, err)
			}
		})
	}
}

// Under HTTP/1.1 a stream leaves the HTTP server, and the deadline of its request behind.
func TestStreamOutlivesDeadline(t *testing.T) {
	s := newSite(t, transports.Options{}, withDeadline, (*httptest.Server).Start)
	body := s.get(t, "/?id="+s.token(t)).Body
	c := s.connected(t)
	time.Sleep(time.Second) //nolint:forbidigo // the deadline is to be over
	c.Close(nil)
	if _, err := io.ReadAll(body); err != nil {
		t.Error(err)
	}
}

// A client that only listens, and comes back by itself, gets a stream that ends in order before
// the deadline.
func TestListenerEndsBeforeDeadline(t *testing.T) {
	s := newListening(t, withDeadline)
	response := s.get(t, "/")
	if _, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s, %v", response.Status, err)
	}
}

// newListening serves listeners over HTTP/2.
func newListening(t *testing.T, middleware func(http.Handler) http.Handler) *site {
	t.Helper()
	return newSite(t, transports.Options{}, func(next http.Handler) http.Handler {
		h := next.(*connection.Handler)
		return middleware(http.HandlerFunc(h.ServeListener))
	}, startHTTP2)
}

// The header says how the body is coded: as a middleware codes it within the server, plainly
// beyond it.
func TestContentEncoding(t *testing.T) {
	claims := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			next.ServeHTTP(w, r)
		})
	}
	for name, test := range map[string]struct {
		middleware func(http.Handler) http.Handler
		start      func(*httptest.Server)
		want       string
	}{
		"within the server": {claims, startHTTP2, "gzip"},
		"beyond it":         {claims, (*httptest.Server).Start, "identity"},
		"plain":             {plain, startHTTP2, "identity"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, transports.Options{}, test.middleware, test.start)
			if got := s.get(t, "/?id="+s.token(t)).Header.Get("Content-Encoding"); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			s.connected(t).Abort(nil)
		})
	}
}
