//go:build unix

package redis

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/transports"
)

// A server of ASP.NET Core that publishes JSON only ends none of our clients: those that speak
// MessagePack get its messages, too, and in order.
func TestServerThatPublishesJSONOnly(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, program := range []string{"aspnet", "aspnet11"} {
		theirs := s.originalAlone(program, "-allhubs", "yes")
		ours := s.ours("ours of "+program, "JsonOnlyHub")
		h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		c := client.New(theirs.url+"/jsononly", client.Options{HTTPClient: h, HandshakeTimeout: time.Minute})
		theirs.hears(c, "carol")
		if err := c.Start(ctx); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Stop(context.Background()) })
		for i := range 20 {
			if err := c.Invoke(ctx, "ToAll", fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, m := range append(ours.members, theirs.members...) {
			m.wantNumbers(ctx, t, 0, 20)
		}
		if _, err := ours.do(ctx, "all", url.Values{"text": {"0"}}); err != nil {
			t.Fatal(err)
		}
		for _, m := range append(ours.members, theirs.members...) {
			m.wantNumbers(ctx, t, 0, 1)
		}
	}
}

// wantNumbers wants some numbers as texts, in their order.
func (m *member) wantNumbers(ctx context.Context, t *testing.T, first, count int) {
	t.Helper()
	for want := first; want < first+count; want++ {
		select {
		case got := <-m.got:
			if got != fmt.Sprint(want) {
				t.Fatalf("%s got %q, want %d", m.name, got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%s did not get %d", m.name, want)
		}
	}
}

// cutter is a client's network.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
	dials int
}

func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conns = append(c.conns, conn)
		c.dials++
	}
	return conn, err
}

// cut cuts all connections.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// A client with stateful reconnect loses its WebSocket while a server of the other kind sends to all:
// it gets each message once and in order.
func TestStatefulReconnectInMixedCluster(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	h := s.ourHub("ChatHub")
	e := endpoint.New(h, endpoint.Options{Options: transports.Options{AllowStatefulReconnect: true}})
	served := httptest.NewServer(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		served.Close()
	})
	ours := &peer{name: "ours", url: served.URL, do: func(ctx context.Context, operation string, q url.Values) (string, error) {
		return operate(ctx, h, operation, q)
	}}
	for _, program := range []string{"aspnet", "aspnet11"} {
		theirs := s.originalAlone(program)
		for user, by := range protocolsOfUsers {
			at := map[*peer]string{ours: "?user=", theirs: "/chat?user="}
			for home, from := range map[*peer]*peer{ours: theirs, theirs: ours} {
				testStatefulReconnect(t, from, home.url+at[home]+user, client.Options{Protocol: by, StatefulReconnect: true, HandshakeTimeout: time.Minute})
			}
		}
	}
}

func testStatefulReconnect(t *testing.T, from *peer, at string, o client.Options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var network cutter
	o.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: network.dial, DisableKeepAlives: true}}
	c := client.New(at, o)
	ended := make(chan struct{})
	c.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.From == client.Connected {
			close(ended)
		}
	})
	m := (&peer{name: at + " from " + from.name}).hears(c, o.Protocol.Name())
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Invoke(ctx, "NoSuchMethod"); err == nil || ctx.Err() != nil { // answered after it has joined
		t.Fatal(err)
	}
	const cuts, block = 3, 50
	for i := range cuts * block {
		if i%block == block/2 {
			network.cut()
		}
		if _, err := from.do(ctx, "all", url.Values{"text": {fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
		if i%block == block-1 { // it has reconnected when all have come
			m.wantNumbers(ctx, t, i+1-block, block)
		}
	}
	select {
	case <-ended:
		t.Errorf("%s: the connection ended", m.name)
	default:
	}
	if err := c.Stop(ctx); err != nil {
		t.Error(err)
	}
	if network.dials < 2+cuts { // a negotiation and WebSockets
		t.Errorf("%s: %d network connections", m.name, network.dials)
	}
	if len(m.got) > 0 {
		t.Errorf("%s got one more: %q", m.name, <-m.got)
	}
}
