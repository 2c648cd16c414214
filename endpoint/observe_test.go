package endpoint_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// events is an observer of all connections of an endpoint.
type events chan transports.Event

func (e events) Observe(event transports.Event) { e <- event }

func (e events) expect(t *testing.T, kind transports.EventKind, transport transports.Type) {
	t.Helper()
	select {
	case got := <-e:
		if got.Kind != kind || got.Transport != transport {
			t.Fatalf("event %d of %q, want %d of %q", got.Kind, got.Transport, kind, transport)
		}
		if (got.Request != nil) != (kind == transports.Opened || kind == transports.Stripped) {
			t.Errorf("event %d: its request is there, or is not", kind)
		}
	case <-time.After(time.Minute):
		t.Fatalf("event %d of %q does not come", kind, transport)
	}
}

func observed(t *testing.T, o transports.Options) (*httptest.Server, events) {
	t.Helper()
	seen := make(events, 100)
	policy := negotiate.PolicyFunc(func(_ *http.Request, o *negotiate.Offer) { o.Observer = seen })
	return serve(t, endpoint.Options{Options: o, Policy: policy}, (*httptest.Server).Start), seen
}

const stripped = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func TestObserveWebSocket(t *testing.T) {
	server, seen := observed(t, transports.Options{})
	url := open(t, server.URL+"/echo")
	raw(t, server, "GET "+path(url)+" HTTP/1.0\r\n"+stripped)
	seen.expect(t, transports.Stripped, transports.WebSockets)
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	seen.expect(t, transports.Opened, transports.WebSockets)
	if err := conn.WriteMessage(websocket.TextMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	seen.expect(t, transports.Proved, transports.WebSockets)
	_ = conn.NetConn().Close() // without a word
	seen.expect(t, transports.Cut, transports.WebSockets)
	seen.expect(t, transports.Ended, transports.WebSockets)
}

// A WebSocket that ends before a byte came shows that its answer was lost, where clients begin
// with a handshake and if the server has not closed it.
func TestObserveWebSocketWithoutAByte(t *testing.T) {
	for name, c := range map[string]struct {
		hold   time.Duration
		frame  []byte
		events []transports.EventKind
	}{
		"no byte":                       {time.Minute, nil, []transports.EventKind{transports.Held}},
		"no byte, and none is expected": {-1, nil, nil},
		"a frame that breaks off":       {time.Minute, []byte{0x81}, []transports.EventKind{transports.Cut}},
		"a close frame":                 {time.Minute, []byte{0x88, 0x80, 1, 2, 3, 4}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			server, seen := observed(t, transports.Options{HoldTimeout: c.hold})
			conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(open(t, server.URL+"/echo"), "http"), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			seen.expect(t, transports.Opened, transports.WebSockets)
			if _, err := conn.NetConn().Write(c.frame); err != nil {
				t.Fatal(err)
			}
			_ = conn.NetConn().Close()
			for _, kind := range append(c.events, transports.Ended) {
				seen.expect(t, kind, transports.WebSockets)
			}
		})
	}
}

// A WebSocket without a byte that the server closes shows something only if it was open for
// longer than the hold time-out.
func TestObserveWebSocketClosedByServer(t *testing.T) {
	for name, hold := range map[string]time.Duration{"soon": time.Hour, "late": time.Nanosecond} {
		t.Run(name, func(t *testing.T) {
			seen := make(events, 100)
			policy := negotiate.PolicyFunc(func(_ *http.Request, o *negotiate.Offer) { o.Observer = seen })
			e := endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{HoldTimeout: hold}, Policy: policy})
			server := httptest.NewServer(e)
			defer server.Close()
			conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(open(t, server.URL+"/echo"), "http"), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = response.Body.Close()
			seen.expect(t, transports.Opened, transports.WebSockets)
			closed := make(chan error, 1)
			go func() { closed <- e.Shutdown(t.Context()) }()
			if _, err := io.ReadFull(conn.NetConn(), make([]byte, 4)); err != nil { // the close frame
				t.Fatal(err)
			}
			_ = conn.NetConn().Close() // without an answer
			if err := <-closed; err != nil {
				t.Error(err)
			}
			if name == "late" {
				seen.expect(t, transports.Held, transports.WebSockets)
			}
			seen.expect(t, transports.Ended, transports.WebSockets)
		})
	}
}

func TestObserveEventStream(t *testing.T) {
	for _, proto := range []string{"HTTP/1.0", "HTTP/1.1"} {
		stream := func(server *httptest.Server, seen events, url string) (net.Conn, *bufio.Reader) {
			conn, r := raw(t, server, "GET "+path(url)+" "+proto+"\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
			seen.expect(t, transports.Opened, transports.ServerSentEvents)
			return conn, r
		}
		server, seen := observed(t, transports.Options{HoldTimeout: 20 * time.Millisecond})
		stream(server, seen, open(t, server.URL+"/echo"))
		seen.expect(t, transports.Held, transports.ServerSentEvents)
		seen.expect(t, transports.Ended, transports.ServerSentEvents)

		server, seen = observed(t, transports.Options{HoldTimeout: time.Second}) // in which a busy host posts, too
		url := open(t, server.URL+"/echo")
		conn, r := stream(server, seen, url)
		post(t, url, "x")
		seen.expect(t, transports.Mute, transports.ServerSentEvents)
		post(t, url, "y")
		seen.expect(t, transports.Proved, transports.ServerSentEvents)
		for line := ""; line != "data: y\r\n"; { // a write that fails would end it too
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		_ = conn.Close()
		seen.expect(t, transports.Cut, transports.ServerSentEvents)
		seen.expect(t, transports.Ended, transports.ServerSentEvents)
	}
}

func TestObservePoll(t *testing.T) {
	server, seen := observed(t, transports.Options{DisconnectTimeout: time.Second})
	url := open(t, server.URL+"/echo")
	raw(t, server, "GET "+path(url)+" HTTP/1.0\r\n\r\n")
	seen.expect(t, transports.Opened, transports.LongPolling)
	conn, _ := raw(t, server, "GET "+path(url)+" HTTP/1.0\r\n\r\n")
	_ = conn.Close()
	seen.expect(t, transports.Cut, transports.LongPolling)

	seen.expect(t, transports.Ended, transports.LongPolling)

	open(t, server.URL+"/echo")
	seen.expect(t, transports.Unclaimed, "")
}
