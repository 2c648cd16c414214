package websockets_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/websockets"
)

// returning is an application whose connection outlives its WebSockets. It notes in
// which order it is called.
type returning struct {
	c      *transports.Connection
	mu     sync.Mutex
	events []string
	news   chan struct{}
}

func (a *returning) Connect(c *transports.Connection) (transports.Receiver, error) {
	a.c = c
	a.note("connect")
	return a, nil
}

func (a *returning) note(event string) {
	a.mu.Lock()
	a.events = append(a.events, event)
	a.mu.Unlock()
	a.news <- struct{}{}
}

func (a *returning) Receive(data []byte) error { a.note(string(bytes.Clone(data))); return nil }
func (a *returning) Interrupted()              { a.note("interrupted") }
func (a *returning) Disconnected(error)        { a.note("disconnected") }
func (a *returning) Resumed() {
	_ = a.c.Send(frame.New([]byte("welcome back"), false))
	a.note("resumed")
}

func (a *returning) await(t *testing.T, want ...string) {
	t.Helper()
	for range want {
		select {
		case <-a.news:
		case <-time.After(20 * time.Second):
			t.Fatal("it is not called")
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if got := a.events[len(a.events)-len(want):]; !slices.Equal(got, want) {
		t.Fatalf("called %q, want %q", a.events, want)
	}
}

// startReturning serves one stateful connection and returns how to dial it.
func startReturning(t *testing.T, o transports.Options) (*returning, *transports.Registry, func() *websocket.Conn) {
	t.Helper()
	o.AllowStatefulReconnect = true
	app := &returning{news: make(chan struct{}, 100)}
	registry := transports.NewRegistry(app, o)
	server := httptest.NewServer(transports.NewHandler(registry, map[transports.Type]transports.Carry{
		transports.WebSockets: websockets.Carry(registry.Running()),
	}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := registry.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	c, err := registry.Create(&http.Request{}, true, transports.WebSockets)
	if err != nil {
		t.Fatal(err)
	}
	return app, registry, func() *websocket.Conn {
		t.Helper()
		conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/?id="+c.Token(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

func write(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, c *websocket.Conn, want string) {
	t.Helper()
	if _, b, err := c.ReadMessage(); err != nil || string(b) != want {
		t.Fatalf("%q, %v, want %q", b, err, want)
	}
}

func TestResume(t *testing.T) {
	app, _, dial := startReturning(t, transports.Options{})
	first := dial()
	app.await(t, "connect")
	write(t, first, "one")
	app.await(t, "one")
	_ = first.NetConn().Close()
	app.await(t, "interrupted")
	if err := app.c.Send(frame.New([]byte("lost"), false)); err != nil {
		t.Error(err)
	}
	second := dial()
	app.await(t, "resumed")
	read(t, second, "welcome back")
	write(t, second, "two")
	app.await(t, "two")
}

// A newer WebSocket takes over from one that still lives.
func TestTakeOver(t *testing.T) {
	app, _, dial := startReturning(t, transports.Options{})
	first := dial()
	app.await(t, "connect")
	second := dial()
	app.await(t, "interrupted", "resumed")
	read(t, second, "welcome back")
	if _, _, err := first.ReadMessage(); err == nil {
		t.Error("the older WebSocket goes on")
	}
	write(t, second, "two")
	app.await(t, "two")
	if err := second.WriteMessage(websocket.CloseMessage, nil); err != nil {
		t.Fatal(err)
	}
	app.await(t, "disconnected") // a close frame ends it for good
}

// Nobody who is away keeps the registry from ending, nor comes back too late.
func TestAway(t *testing.T) {
	gone, _, dial := startReturning(t, transports.Options{DisconnectTimeout: time.Millisecond})
	_ = dial().NetConn().Close()
	gone.await(t, "connect", "interrupted", "disconnected")
	app, registry, dial := startReturning(t, transports.Options{})
	_ = dial().NetConn().Close()
	app.await(t, "connect", "interrupted")
	if err := registry.Shutdown(t.Context()); err != nil || registry.Len() != 0 {
		t.Errorf("%v, %d are left", err, registry.Len())
	}
	app.await(t, "disconnected")
}

// Many newer WebSockets at once: calls stay in pairs, and the last one works.
func TestTakeOverByMany(t *testing.T) {
	app, _, dial := startReturning(t, transports.Options{})
	app.news = make(chan struct{}, 1000)
	dial()
	app.await(t, "connect")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			c := dial()
			_ = c.WriteMessage(websocket.TextMessage, []byte("x"))
			_ = c.NetConn().Close()
		})
	}
	all.Wait()
	last := dial()
	read(t, last, "welcome back")
	app.mu.Lock()
	defer app.mu.Unlock()
	away := false
	for _, event := range app.events {
		if event == "interrupted" && away || event == "resumed" && !away || event == "x" && away {
			t.Fatalf("%q while away is %v: %q", event, away, app.events)
		}
		away = event == "interrupted" || away && event != "resumed"
	}
}
