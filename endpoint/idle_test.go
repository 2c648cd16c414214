package endpoint_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// reading is how many goroutines read from a socket.
func reading() int {
	stacks := make([]byte, 4<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "poller.(*Conn).read(")
}

// awaitReaders waits until there are none.
func awaitReaders(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); reading() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines still read", reading())
		}
		time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the end of a goroutine has no event
	}
}

// Who talks is read by a goroutine; who is silent costs none, and is heard again.
func TestIdleConnectionsHaveNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere each has one")
	}
	url := startEcho(t)
	conns := make([]*websocket.Conn, 20)
	for i := range conns {
		c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(open(t, url), "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		conns[i] = c
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, open(t, url), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	awaitReaders(t)
	for i, c := range conns {
		for n := range 1 + i%3 { // once in a while, or several at once
			text := fmt.Sprint(i, " ", n)
			if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if got := hear(t, c); got != text {
				t.Fatalf("%q came back as %q", text, got)
			}
		}
	}
	awaitReaders(t)
}
