package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// A rule is for the network of the client that a trusted proxy tells.
func TestTrustedProxies(t *testing.T) {
	for network, transport := range map[string]string{"127.0.0.0/8": "LongPolling", "10.0.0.0/8": "WebSockets"} {
		r := start(t, func(c *Config) {
			c.TrustedProxies = []string{network}
			c.Rule = []string{"192.0.2.0/24=LongPolling"}
		})
		answer := r.do(http.MethodPost, "/hubs/clock/negotiate?negotiateVersion=1", "", "X-Forwarded-For", "192.0.2.1")
		if body := text(t, answer); !strings.Contains(body, `"availableTransports":[{"transport":"`+transport) {
			t.Errorf("%s is trusted: %s", network, body)
		}
	}
}

// Behind the PROXY protocol streams work, and the client is the one that it tells.
func TestProxyProtocol(t *testing.T) {
	r := start(t, func(c *Config) {
		c.TrustedProxies, c.ProxyProtocol = []string{"127.0.0.0/8"}, true
		c.Rule = []string{"192.0.2.0/24=LongPolling"}
	})
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			_, err = io.WriteString(conn, "PROXY TCP4 192.0.2.1 10.0.0.1 77 80\r\n")
		}
		return conn, err
	}
	r.client.Transport.(*http.Transport).DialContext = dial
	offer := r.negotiate()
	if got := offer.AvailableTransports; len(got) != 1 || got[0].Transport != "LongPolling" {
		t.Error(got)
	}
	stream := r.do(http.MethodGet, "/hubs/clock?id="+offer.ConnectionToken, "", "Accept", "text/event-stream")
	defer stream.Body.Close()
	if _, err := io.ReadFull(stream.Body, make([]byte, 3)); err != nil || stream.StatusCode != http.StatusOK {
		t.Error(stream.Status, err)
	}
	dialer := websocket.Dialer{NetDialContext: dial}
	conn, response, err := dialer.Dial("ws"+strings.TrimPrefix(r.url, "http")+"/hubs/clock", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = response.Body.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(shake)); err != nil {
		t.Fatal(err)
	}
	if _, answer, err := conn.ReadMessage(); err != nil || string(answer) != "{}\x1e" {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestProxySettings(t *testing.T) {
	for _, c := range []Config{{TrustedProxies: []string{"10.0.0.1"}}, {ProxyProtocol: true}} {
		if _, err := c.trustedProxies(); err == nil {
			t.Errorf("accepted: %v %v", c.TrustedProxies, c.ProxyProtocol)
		}
	}
}
