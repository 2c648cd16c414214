//go:build !race

package endpoint_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// keeper hands out the connections that come.
type keeper chan transports.Connection

func (k keeper) Connect(c transports.Connection) (transports.Receiver, error) {
	k <- c
	return &echoing{c}, nil
}

// What is sent to an open socket that takes it costs a system call and no memory.
func TestSendAllocations(t *testing.T) {
	for kind, header := range map[transports.Type]string{
		transports.WebSockets: "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
		transports.ServerSentEvents: "Accept: text/event-stream\r\n",
	} {
		connections := make(keeper, 1)
		server := httptest.NewServer(endpoint.NewRaw(connections, endpoint.Options{}))
		t.Cleanup(server.Close)
		url := open(t, server.URL+"/echo")
		post := kind == transports.ServerSentEvents
		conn, r := raw(t, server, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path(url), server.Listener.Addr(), header))
		c := <-connections
		if post { // or the stream counts as held
			statusOfPost(t, server, url)
		}
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		f := frame.New([]byte(`{"type":1,"target":"ShowTime","arguments":["2026-01-01T00:00:00.0000000Z"]}`), false)
		if n := testing.AllocsPerRun(200, func() { _ = c.Send(f) }); n != 0 {
			t.Errorf("%s: %v allocations for a message", kind, n)
		}
		c.Abort(nil)
		_, _ = io.Copy(io.Discard, conn)
	}
}

// A negotiation keeps one object until its connection is opened, and the answer allocates nothing.
func TestNegotiateAllocations(t *testing.T) {
	e := endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{Limits: transports.Unlimited()}})
	w := &discarding{header: http.Header{}}
	r := httptest.NewRequest(http.MethodPost, "/echo/negotiate?negotiateVersion=1", nil)
	if n := testing.AllocsPerRun(2000, func() { e.ServeHTTP(w, r) }); n != 1 {
		t.Errorf("%v allocations for a negotiation", n)
	}
}
