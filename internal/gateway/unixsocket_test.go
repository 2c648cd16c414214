package gateway

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// runUnix runs a gateway on a Unix socket until the test ends or end is called, and returns a client of it.
func runUnix(t *testing.T, path string, trusted ...string) (client *http.Client, dialer websocket.Dialer, end func() error) {
	t.Helper()
	c := Config{
		Addr: unixPrefix + path, Path: "/hubs/clock", Transports: []string{"WebSockets", "ServerSentEvents", "LongPolling"},
		Interval: 20 * time.Millisecond, ShutdownTimeout: 20 * time.Second,
		TrustedProxies: trusted, Rule: []string{"192.0.2.0/24=LongPolling"},
	}
	s, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(t.Context(), c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }() // awaited by end
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	transport := &http.Transport{DialContext: dial}
	end = func() error {
		stop()
		err := <-ended
		ended <- nil
		return err
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
		transport.CloseIdleConnections()
	})
	return &http.Client{Transport: transport}, websocket.Dialer{NetDialContext: dial}, end
}

// socketPath is short: the path of a Unix socket has 107 bytes at most.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "unix") //nolint:usetesting // t.TempDir is longer
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// All transports work behind a Unix socket, whose file only the program's user and group may use and which is gone at the end.
func TestUnixSocket(t *testing.T) {
	path := socketPath(t)
	client, dialer, end := runUnix(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode() != os.ModeSocket|unixMode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	conn, response, err := dialer.Dial("ws://hub.example/hubs/clock", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = response.Body.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(shake)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"{}\x1e", `"target":"ShowTime"`} {
		if _, message, err := conn.ReadMessage(); err != nil || !strings.Contains(string(message), want) {
			t.Fatalf("%q, %v", message, err)
		}
	}
	for _, accept := range []string{"text/event-stream", "*/*"} {
		shakeBy(t, &running{t: t, url: "http://hub.example", client: client}, accept)
	}
	_ = conn.Close()
	if err := end(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
}

// shakeBy shakes hands by the transport of a GET with accept.
func shakeBy(t *testing.T, r *running, accept string) {
	t.Helper()
	url := "/hubs/clock?id=" + r.negotiate().ConnectionToken
	answer := r.do(http.MethodGet, url, "", "Accept", accept)
	defer func() { _ = answer.Body.Close() }()
	_ = r.do(http.MethodPost, url, shake).Body.Close()
	if accept == "*/*" { // the first poll is answered at once
		_ = answer.Body.Close()
		answer = r.do(http.MethodGet, url, "")
	}
	if text, err := bufio.NewReader(answer.Body).ReadString('}'); err != nil || !strings.HasSuffix(text, "{}") {
		t.Errorf("%s: %q, %v", accept, text, err)
	}
}

// The headers of a Unix socket's peer name the client only if the peer is trusted.
func TestUnixProxies(t *testing.T) {
	for trusted, transport := range map[string]string{"unix": "LongPolling", "127.0.0.0/8": "WebSockets"} {
		client, _, _ := runUnix(t, socketPath(t), trusted)
		r := &running{t: t, url: "http://hub.example", client: client}
		answer := r.do(http.MethodPost, "/hubs/clock/negotiate?negotiateVersion=1", "", "X-Forwarded-For", "192.0.2.1")
		if body := text(t, answer); !strings.Contains(body, `"availableTransports":[{"transport":"`+transport) {
			t.Errorf("%s is trusted: %s", trusted, body)
		}
	}
}

// The socket of a process that was killed is replaced; one that is served and other files stay.
func TestUnixSocketIsThere(t *testing.T) {
	path := socketPath(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if _, err := listen(t.Context(), unixPrefix+path); err == nil {
		t.Error("the socket of another process was taken over")
	}
	_ = l.Close()
	again, err := listen(t.Context(), unixPrefix+path)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Close()
	if err := os.WriteFile(path, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t.Context(), unixPrefix+path); err == nil {
		t.Error("a file that is no socket was replaced")
	}
	if kept, err := os.ReadFile(path); string(kept) != "kept" {
		t.Error(err)
	}
}

func TestUnixSettings(t *testing.T) {
	for _, c := range []Config{{Addr: "unix:"}, {Addr: "unix:@abstract"}, {Addr: "unix:/s", ProxyProtocol: true, TrustedProxies: []string{"unix"}}, {Addr: "unix:/s", ProxyProtocol: true, TrustedProxies: []string{"::/0"}}} {
		c.Path, c.Transports = "/hub", []string{"WebSockets"}
		if err := c.Validate(); err == nil {
			t.Errorf("accepted: %q, %v", c.Addr, c.TrustedProxies)
		}
	}
}
