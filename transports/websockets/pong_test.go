package websockets_test

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/websockets"
)

// ending is an application that tells why its connection ended.
type ending chan error

func (e ending) Connect(transports.Connection) (transports.Receiver, error) { return e, nil }
func (e ending) Receive([]byte) error                                       { return nil }
func (e ending) Disconnected(cause error)                                   { e <- cause }

// A client that pings and reads no answer is cut as everybody who does not read: half of a pong must not be
// followed by anything.
func TestUnreadPongs(t *testing.T) {
	ended := make(ending, 1)
	// Four times as long behind the write the system ends the connection by itself: a slow host needs the margin.
	registry := connection.NewRegistry(ended, transports.Options{SendTimeout: time.Second})
	server := httptest.NewServer(connection.NewHandler(registry, map[transports.Type]connection.Carry{
		transports.WebSockets: websockets.Carry(registry),
	}))
	defer server.Close()
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	defer conn.Close()
	ping := bytes.Repeat([]byte("x"), 125)
	for err == nil {
		err = conn.WriteControl(websocket.PingMessage, ping, time.Now().Add(20*time.Second))
	}
	select {
	case cause := <-ended:
		if !errors.Is(cause, transports.ErrSendTimeout) {
			t.Errorf("it ended for %v", cause)
		}
	case <-time.After(time.Minute):
		t.Errorf("it goes on; the client's end: %v", err)
	}
	if err := registry.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
