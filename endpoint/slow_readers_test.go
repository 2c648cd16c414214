package endpoint_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

// stall opens count connections of each transport, none of which reads what is broadcast. next
// has the clients of long polling poll again.
func stall(t *testing.T, server *httptest.Server, joined <-chan struct{}, count int) (next func()) {
	t.Helper()
	var polls []string
	for range count {
		socket, _ := raw(t, server, fmt.Sprintf(upgradeRequest, "/echo"))
		if _, err := socket.Write(maskedHandshake); err != nil {
			t.Fatal(err)
		}
		<-joined
		raw(t, server, "GET /echo/events HTTP/1.1\r\nHost: x\r\n\r\n")
		<-joined
		url := open(t, server.URL+"/echo")
		pollOnce(t, url)
		post(t, url, handshake)
		<-joined
		pollOnce(t, url) // fetches the answer to the handshake
		polls = append(polls, path(url))
	}
	return func() {
		for _, p := range polls {
			raw(t, server, "GET "+p+" HTTP/1.1\r\nHost: x\r\n\r\n")
		}
	}
}

func pollOnce(t *testing.T, url string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

// Clients that do not read share the bytes of what is broadcast: none of them keeps a copy of a
// message that its socket has taken a part of.
func TestSlowReadersShareABroadcast(t *testing.T) {
	const clients, size = 15, 8 << 20
	h := hub.New(hub.Options{})
	joined := make(chan struct{}, 1)
	h.OnConnected(func(context.Context) error {
		joined <- struct{}{}
		return nil
	})
	e := endpoint.New(h, endpoint.Options{Events: endpoint.Events{Enabled: true}})
	server := httptest.NewUnstartedServer(e)
	server.Config.ConnState = func(conn net.Conn, state http.ConnState) {
		if tcp, ok := conn.(*net.TCPConn); ok && state == http.StateNew {
			_ = tcp.SetWriteBuffer(16 << 10)
		}
	}
	server.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Shutdown(ctx)
		server.Close()
	})
	next := stall(t, server, joined, clients)
	before := held()
	if err := h.Clients().All().Send(t.Context(), "M", strings.Repeat("x", size)); err != nil {
		t.Fatal(err)
	}
	next()
	for deadline := time.Now().Add(time.Minute); e.QueuedBytes() > 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond) // nothing tells when the polls have taken what was queued
	}
	// The message, and once more framed for each kind of carrier.
	if taken := held() - before; taken > 5*size {
		t.Errorf("%d connections hold %d bytes of a message of %d", e.Connections(), taken, size)
	}
	if n := e.Connections(); n != 3*clients {
		t.Errorf("%d connections are left", n)
	}
}
