package endpoint_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// watched is middleware that has weak pointers to each request, and to the buffers that the
// HTTP server passes on with a hijacked network connection.
type watched struct {
	next   http.Handler
	served chan struct{} // receives a value when the handler of a request has returned

	mu       sync.Mutex
	requests []weak.Pointer[http.Request]
	readers  []weak.Pointer[bufio.Reader]
	writers  []weak.Pointer[bufio.Writer]
}

func (a *watched) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() { a.served <- struct{}{} }()
	a.mu.Lock()
	a.requests = append(a.requests, weak.Make(r))
	a.mu.Unlock()
	a.next.ServeHTTP(&watchedWriter{w, a}, r)
}

type watchedWriter struct {
	http.ResponseWriter
	all *watched
}

func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *watchedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.all.mu.Lock()
		defer w.all.mu.Unlock()
		w.all.readers = append(w.all.readers, weak.Make(rw.Reader))
		w.all.writers = append(w.all.writers, weak.Make(rw.Writer))
	}
	return conn, rw, err
}

// kept describes what has not been collected; "" is nothing.
func (a *watched) kept() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	requests, readers, writers := alive(a.requests), alive(a.readers), alive(a.writers)
	if requests+readers+writers == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d requests, %d of %d readers and %d of %d writers",
		requests, len(a.requests), readers, len(a.readers), writers, len(a.writers))
}

func alive[T any](all []weak.Pointer[T]) (n int) {
	for _, p := range all {
		if p.Value() != nil {
			n++
		}
	}
	return n
}

// awaitNothingKept waits for n handlers to return and then collects garbage until no request
// and no buffer is left.
func (a *watched) awaitNothingKept(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-a.served:
		case <-time.After(time.Minute):
			t.Fatal("a handler does not return")
		}
	}
	for deadline := time.Now().Add(time.Minute); ; {
		runtime.GC()
		left := a.kept()
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(left, "are kept")
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the goroutine of a request ends without an event
	}
}

// rawClient is a client with one network connection.
type rawClient struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	path string // with the token
}

func (c *rawClient) send(method, path, headers, body string) {
	c.t.Helper()
	_, err := fmt.Fprintf(c.conn, "%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", method, path, headers, len(body), body)
	if err != nil {
		c.t.Fatal(err)
	}
}

// read reads until the data ends with a text. The data must begin with another text.
func (c *rawClient) read(begin, end string) {
	c.t.Helper()
	var got []byte
	for !bytes.HasSuffix(got, []byte(end)) {
		b, err := c.r.ReadByte()
		if err != nil {
			c.t.Fatalf("%q, %v; want %q", got, err, end)
		}
		got = append(got, b)
	}
	if !bytes.HasPrefix(got, []byte(begin)) {
		c.t.Fatalf("%q does not begin with %q", got, begin)
	}
}

const (
	okHead  = "HTTP/1.1 200 OK\r\n"
	headEnd = "\r\n\r\n"
)

// negotiateRaw negotiates on a new network connection.
func negotiateRaw(t *testing.T, server *httptest.Server) *rawClient {
	t.Helper()
	conn, r := raw(t, server, "")
	_ = conn.SetDeadline(time.Now().Add(3 * time.Minute))
	c := &rawClient{t: t, conn: conn, r: r}
	c.send(http.MethodPost, "/echo/negotiate?negotiateVersion=1", "", "")
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	c.path = "/echo?id=" + readToken(t, response)
	return c
}

// postAndPoll posts a record, and polls until the answer to it and once more.
func (c *rawClient) postAndPoll(record, answer string) {
	c.t.Helper()
	c.send(http.MethodPost, c.path, "", record)
	c.read(okHead, headEnd)
	c.send(http.MethodGet, c.path, "", "")
	c.read(okHead, answer)
	c.send(http.MethodGet, c.path, "", "")
}

// idleClients are the ways of a client to become idle. Each function returns the number of
// requests.
var idleClients = map[transports.Type]func(*rawClient, *httptest.Server) int{
	transports.LongPolling: func(c *rawClient, _ *httptest.Server) int {
		c.send(http.MethodGet, c.path, "", "")
		c.read(okHead, headEnd)
		c.postAndPoll(handshake, "{}\x1e")
		return 5
	},
	transports.ServerSentEvents: func(c *rawClient, server *httptest.Server) int {
		c.send(http.MethodGet, c.path, "Accept: text/event-stream\r\n", "")
		c.read(okHead, "3\r\n:\r\n\r\n")
		_, r := raw(c.t, server, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
			c.path, len(handshake), handshake))
		_, _ = io.Copy(io.Discard, r)
		c.read("", "{}\x1e\r\n\r\n\r\n")
		return 3
	},
	transports.WebSockets: func(c *rawClient, _ *httptest.Server) int {
		_, _ = fmt.Fprintf(c.conn, upgradeRequest, c.path)
		c.read("HTTP/1.1 101", headEnd)
		_, _ = c.conn.Write(maskedHandshake)
		c.read("", "{}\x1e")
		return 2
	},
}

// An idle connection keeps none of its requests, whose parsed form is several KB, and none of
// the HTTP server's buffers.
func TestIdleConnectionsKeepNoRequest(t *testing.T) {
	for kind, becomeIdle := range idleClients {
		t.Run(string(kind), func(t *testing.T) {
			h := hub.New(hub.Options{})
			h.Handle("Echo", hub.Func1(func(_ context.Context, s string) (string, error) { return s, nil }))
			e := endpoint.New(h, endpoint.Options{})
			all := &watched{next: e, served: make(chan struct{}, 100)}
			server := httptest.NewServer(all)
			t.Cleanup(func() {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				_ = e.Shutdown(ctx)
				server.Close()
			})
			clients, requests := make([]*rawClient, 5), 0
			for i := range clients {
				clients[i] = negotiateRaw(t, server)
				requests += becomeIdle(clients[i], server)
			}
			all.awaitNothingKept(t, requests)
			if err := h.Clients().All().Send(t.Context(), "News", "news"); err != nil {
				t.Fatal(err)
			}
			for _, c := range clients {
				c.read("", "\"news\"]}\x1e")
				if kind == transports.LongPolling { // the network connection returns to the HTTP server
					c.postAndPoll(`{"type":1,"invocationId":"1","target":"Echo","arguments":["x"]}`+"\x1e", "\"x\"}\x1e")
				}
			}
			if kind == transports.LongPolling {
				all.awaitNothingKept(t, 3*len(clients))
			}
		})
	}
}
