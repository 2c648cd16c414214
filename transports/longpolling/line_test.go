package longpolling_test

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// A poll is answered in the same way within the HTTP server and outside.
func TestSameAnswer(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	send(t, c, "within")
	p.poll() // finds what is queued
	within := p.expect("within")
	await(t, s.served)
	for range 3 { // the first taken from the HTTP server, the others read here
		p.park("X-Test: context\r\n")
		send(t, c, "inside")
		outside := p.expect("inside")
		if _, err := http.ParseTime(outside.Header.Get("Date")); err != nil {
			t.Error(err)
		}
		outside.Header["Date"] = within.Header["Date"]
		if !maps.EqualFunc(outside.Header, within.Header, slices.Equal) {
			t.Errorf("%v\nwithin the HTTP server: %v", outside.Header, within.Header)
		}
	}
	if len(s.accepted) > 0 {
		t.Error("polls were handed back to the HTTP server")
	}
}

// Answers that are no poll's are the same, too.
func TestSameRefusals(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	unknown := strings.Replace(p.head, c.Token(), "nobody", 1)
	for name, request := range map[string]string{
		"unknown":         "GET" + unknown + "\r\n",
		"middleware":      "GET" + p.head + "X-Test: refuse\r\n\r\n",
		"other transport": "GET" + p.head + "Accept: text/event-stream\r\n\r\n",
	} {
		fresh := s.dial(c)
		fresh.write(request)
		want, wantBody := read(t, fresh)
		await(t, s.served)
		p.park()
		send(t, c, "x")
		p.expect("x")
		p.write(request)
		got, gotBody := read(t, p)
		await(t, s.served)
		want.Header.Del("Date")
		got.Header.Del("Date")
		want.Header.Set("X-Address", got.Header.Get("X-Address"))
		if got.Status != want.Status || gotBody != wantBody || got.ContentLength != want.ContentLength ||
			!slices.Equal(got.TransferEncoding, want.TransferEncoding) || !maps.EqualFunc(got.Header, want.Header, slices.Equal) {
			t.Errorf("%s: %+v %q\nwithin the HTTP server: %+v %q", name, got, gotBody, want, wantBody)
		}
	}
	if len(s.accepted) > 0 {
		t.Error("polls were handed back to the HTTP server")
	}
}

func read(t *testing.T, p *poller) (*http.Response, string) {
	t.Helper()
	response := p.read()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response, string(body)
}

// What is no poll goes to the HTTP server, as a whole.
func TestOtherRequest(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	parts := map[string][]string{
		"POST":    {"POST" + p.head + "Content-Length: 4\r\n\r\n", "text"},
		"in two":  {"GET" + p.head, "\r\n"},
		"garbage": {"\r\n\r\n"},
	}
	for _, name := range []string{"POST", "in two", "garbage"} {
		p.park()
		send(t, c, "x")
		p.expect("x")
		p.write(parts[name][0])
		await(t, s.accepted)
		p.write(strings.Join(parts[name][1:], ""))
		switch name {
		case "POST":
			p.expect("")
			if got := await(t, s.posted); got != "text" {
				t.Errorf("posted %q", got)
			}
		case "in two":
			await(t, s.served)
			send(t, c, "y")
			p.expect("y")
			continue
		case "garbage":
			if response, _ := read(t, p); response.StatusCode != http.StatusBadRequest {
				t.Error(response.Status)
			}
			p.expectEOF()
			return
		}
		await(t, s.served)
	}
}

// A request that comes before the poll is answered is served behind it.
func TestPipelined(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	p.write(strings.Repeat("GET"+p.head+"\r\n", 2)) // before the HTTP server gives its connection
	await(t, s.served)
	send(t, c, "1")
	p.expect("1")
	await(t, s.served)
	p.write("POST" + p.head + "Content-Length: 4\r\n\r\ntext") // behind
	send(t, c, "2")
	p.expect("2")
	p.expect("")
	await(t, s.served)
	p.park()
	p.poll()
	send(t, c, "3")
	p.expect("3")
	await(t, s.served)
	send(t, c, "4")
	p.expect("4")
}

// What the HTTP server refuses of a request is refused on a line, too.
func TestInvalidHeader(t *testing.T) {
	for _, header := range []string{"X-A: a\x01b", "X-A: a\rb", "X-A: \x00", "X\x01A: a", "X A: a", "Content-Length : 5", ": a"} {
		s := newSite(t, transports.Options{}, nil)
		c, p := s.open()
		await(t, s.served)
		p.park()
		send(t, c, "x")
		p.expect("x")
		p.poll(header + "\r\n")
		send(t, c, "y")
		if response, _ := read(t, p); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s", header, response.Status)
		}
	}
}

// When its client leaves a poll that waits, nothing is lost.
func TestClientLeaves(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	for range 2 {
		p.park()
		_ = p.conn.Close()
		await(t, s.cut)
		send(t, c, "x")
		p = s.dial(c)
		p.poll()
		p.expect("x")
		await(t, s.served)
	}
}

// A newer poll takes the place of the one that waits.
func TestNewerPoll(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	p.park()
	other := s.dial(c)
	other.park()
	if response := p.read(); response.StatusCode != http.StatusNoContent {
		t.Error(response.Status)
	}
	send(t, c, "x")
	other.expect("x")
	p.park()
	send(t, c, "y")
	p.expect("y")
}

// A poll that waits is answered when its time is over, and the connection goes on until it
// has been idle for too long.
func TestTimeouts(t *testing.T) {
	s := newSite(t, transports.Options{PollTimeout: 50 * time.Millisecond}, func(server *httptest.Server) {
		server.Config.IdleTimeout = time.Second // a busy client has to poll again within it
	})
	_, p := s.open()
	await(t, s.served)
	for range 3 {
		p.park()
		p.expect("")
	}
	p.expectEOF()
}

// idleAndWaiting are the pollers of two connections: that of idle has got its answer, that of
// waiting has not.
func idleAndWaiting(t *testing.T, s *site) (idle *poller, waiting *connection.Connection, waits *poller) {
	t.Helper()
	c, idle := s.open()
	await(t, s.served)
	waiting, waits = s.open()
	await(t, s.served)
	idle.park()
	send(t, c, "x")
	idle.expect("x")
	waits.park()
	return idle, waiting, waits
}

// The HTTP server's end does not end a poll that waits, but its connection behind it.
func TestServerShutdown(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	p, waiting, q := idleAndWaiting(t, s)
	if err := s.http.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	p.expectEOF()
	send(t, waiting, "y")
	if response := q.expect("y"); !response.Close {
		t.Error("the answer does not say that the connection ends")
	}
	q.expectEOF()
}

// When the registry stops, answers say that their network connections end, and those end.
func TestRegistryStop(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	p.park()
	s.registry.Stop()
	send(t, c, "x")
	if response := p.expect("x"); !response.Close {
		t.Error("the answer does not say that the connection ends")
	}
	p.expectEOF()
}

// The registry's end waits for nobody's next request.
func TestRegistryShutdown(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	p, _, q := idleAndWaiting(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = s.registry.Shutdown(ctx)
	if response := q.read(); response.StatusCode != http.StatusNoContent {
		t.Error(response.Status)
	}
	p.expectEOF()
	q.expectEOF()
}

// These wait within the HTTP server: their handler does not return before the answer.
func TestWithin(t *testing.T) {
	plain := func(*httptest.Server) {}
	for name, c := range map[string]struct {
		setUp   func(*httptest.Server)
		request string
	}{
		"HTTP/1.0": {plain, "GET /hub?id=TOKEN HTTP/1.0\r\n\r\n"},
		"last":     {plain, "GET /hub?id=TOKEN HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
		"body":     {plain, "GET /hub?id=TOKEN HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"},
		"a context": {func(server *httptest.Server) {
			server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return ctx }
		}, "GET /hub?id=TOKEN HTTP/1.1\r\nHost: h\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, transports.Options{PollTimeout: 50 * time.Millisecond}, c.setUp)
			connection, p := s.open()
			await(t, s.served)
			p.write(strings.Replace(c.request, "TOKEN", connection.Token(), 1))
			p.expect("") // its time is over: what is sent could come before it waits
			await(t, s.served)
			if len(s.hijacked) > 0 {
				t.Error("its connection was taken")
			}
		})
	}
}

// A handler may take the connection, as event streams do.
func TestHijack(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	p.park()
	send(t, c, "x")
	p.expect("x")
	p.poll("X-Test: hijack\r\n")
	if got, err := io.ReadAll(p.r); string(got) != "taken" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A panic ends its connection and no other.
func TestPanic(t *testing.T) {
	s := newSite(t, transports.Options{}, nil)
	c, p := s.open()
	await(t, s.served)
	p.park()
	send(t, c, "x")
	p.expect("x")
	p.poll("X-Test: panic\r\n")
	p.expectEOF()
	p = s.dial(c)
	await(t, s.served)
	p.park()
	send(t, c, "y")
	p.expect("y")
}

// The server's own context is that of requests outside of it, too.
func TestBaseContext(t *testing.T) {
	type key struct{}
	s := newSite(t, transports.Options{}, func(server *httptest.Server) {
		server.Config.BaseContext = func(l net.Listener) context.Context {
			return context.WithValue(context.Background(), key{}, l.Addr().String())
		}
		next := server.Config.Handler
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Value(key{}) != r.Host || r.Context().Value(http.ServerContextKey) != server.Config {
				t.Error("the context is not the server's")
			}
			next.ServeHTTP(w, r)
		})
	})
	c, p := s.open()
	await(t, s.served)
	for range 2 {
		p.park()
		send(t, c, "x")
		p.expect("x")
	}
	p.write("POST" + p.head + "Content-Length: 4\r\n\r\ntext")
	p.expect("")
	await(t, s.served)
}

// wrapped is a connection that is no socket itself, or one that takes not much at once.
type wrapped struct {
	net.Listener
	wrap func(*net.TCPConn) net.Conn
}

func (l wrapped) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(conn.(*net.TCPConn)), nil
}

// What is no socket is written and read by others.
func TestNoSocket(t *testing.T) {
	s := newSite(t, transports.Options{}, func(server *httptest.Server) {
		server.Listener = wrapped{server.Listener, func(c *net.TCPConn) net.Conn { return struct{ net.Conn }{c} }}
	})
	c, p := s.open()
	await(t, s.served)
	for range 3 {
		p.park()
		send(t, c, "x")
		p.expect("x")
	}
	p.write("POST" + p.head + "Content-Length: 4\r\n\r\ntext")
	p.expect("")
	await(t, s.served)
	p.park()
	_ = p.conn.Close()
	await(t, s.cut)
}

// parkAndPeek parks p, answers it, and returns when the begin of the answer has come.
func (p *poller) parkAndPeek(c *connection.Connection, body string) {
	p.s.t.Helper()
	p.park()
	send(p.s.t, c, body)
	if _, err := p.r.Peek(1); err != nil {
		p.s.t.Fatal(err)
	}
}

// expectAgain has p leave in the middle of its answer, which the next poll then gets.
func (p *poller) expectAgain(c *connection.Connection, body string) {
	p.s.t.Helper()
	p.parkAndPeek(c, body)
	_ = p.conn.Close()
	p = p.s.dial(c)
	p.poll()
	p.expect(body)
}

// When a client leaves before it has read a long answer, the next poll gets it.
func TestHalfRead(t *testing.T) {
	s := newSite(t, transports.Options{}, buffering(64<<10))
	c, p := s.open()
	_ = p.conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	await(t, s.served)
	p.expectAgain(c, strings.Repeat("x", 900_000))
}

// What a newer poll has fetched comes behind what is in an answer on its way. If that cannot
// be sent the connection ends: it could only come in the wrong order.
func TestHalfReadAndOvertaken(t *testing.T) {
	s := newSite(t, transports.Options{}, buffering(64<<10))
	c, p := s.open()
	await(t, s.served)
	_ = p.conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	p.parkAndPeek(c, strings.Repeat("x", 900_000))
	newer := s.dial(c)
	newer.park()
	send(t, c, "newer")
	newer.expect("newer")
	newer.park()
	_ = p.conn.Close()
	if response := newer.read(); response.StatusCode != http.StatusNoContent {
		t.Error(response.Status)
	}
}

// buffering has the server's sockets take not much more than n bytes at once.
func buffering(n int) func(*httptest.Server) {
	return func(server *httptest.Server) {
		server.Listener = wrapped{server.Listener, func(c *net.TCPConn) net.Conn {
			_ = c.SetWriteBuffer(n)
			return c
		}}
	}
}

// closing is a connection whose writes return when it is closed.
type closing struct {
	net.Conn
	armed  atomic.Bool
	ctx    context.Context
	cancel context.CancelFunc
}

func (c *closing) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.armed.Load() {
		<-c.ctx.Done()
	}
	return n, err
}

func (c *closing) Close() error {
	defer c.cancel()
	return c.Conn.Close()
}

// A client that leaves with its answer does not get it again, however soon that is.
func TestLeavesWithAnswer(t *testing.T) {
	conns := make(chan *closing, 10)
	s := newSite(t, transports.Options{}, func(server *httptest.Server) {
		server.Listener = wrapped{server.Listener, func(c *net.TCPConn) net.Conn {
			one := &closing{Conn: c}
			one.ctx, one.cancel = context.WithCancel(context.Background())
			conns <- one
			return one
		}}
	})
	c, p := s.open()
	await(t, s.served)
	p.park()
	(<-conns).armed.Store(true)
	send(t, c, "x")
	p.expect("x")
	_ = p.conn.Close()
	p = s.dial(c)
	p.park()
	send(t, c, "y")
	p.expect("y")
}
