package client

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const proxyUser, proxyPassword = "user", "p:ss word"

// newProxy starts a proxy of a kind for one server, which asks for a user and a password.
func newProxy(t *testing.T, kind, target string) (address string, p *forwardProxy) {
	t.Helper()
	p = &forwardProxy{target: target}
	u := &url.URL{Scheme: kind, User: url.UserPassword(proxyUser, proxyPassword)}
	if strings.HasPrefix(kind, "socks5") {
		u.Host = serveSOCKS(t, p)
		return u.String(), p
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := "Basic " + "dXNlcjpwOnNzIHdvcmQ="
		if r.Header.Get("Proxy-Authorization") != want {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		p.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if kind == "https" {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	u.Host = s.Listener.Addr().String()
	return u.String(), p
}

// serveSOCKS serves SOCKS 5 (RFC 1928, 1929).
func serveSOCKS(t *testing.T, p *forwardProxy) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				if p.socks(conn) != nil {
					conn.Close()
				}
			})
		}
	})
	return l.Addr().String()
}

var errSOCKS = errors.New("not what a client of SOCKS says")

// socks serves one connection: methods, user and password, CONNECT to a name, the tunnel.
func (p *forwardProxy) socks(down net.Conn) error {
	r := bufio.NewReader(down)
	piece := func() string { // with its length before it
		n, _ := r.ReadByte()
		b := make([]byte, n)
		_, _ = io.ReadFull(r, b)
		return string(b)
	}
	if version, _ := r.ReadByte(); version != 5 || !strings.Contains(piece(), "\x02") {
		return errSOCKS
	}
	_, _ = down.Write([]byte{5, 2})
	if version, _ := r.ReadByte(); version != 1 || piece() != proxyUser || piece() != proxyPassword {
		_, _ = down.Write([]byte{1, 1})
		return errSOCKS
	}
	_, _ = down.Write([]byte{1, 0})
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:]) != "\x05\x01\x00\x03" { // a name: not resolved by the client
		return errSOCKS
	}
	_ = piece()
	_, _ = r.Discard(2)
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		return err
	}
	p.seen.Add(1)
	_, _ = down.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	done := make(chan struct{})
	go func() { pump(down, up); close(done) }()
	pump(up, down)
	<-done
	return nil
}

func eachProxy(t *testing.T, test func(t *testing.T, kind string, tls bool)) {
	for _, kind := range []string{"http", "https", "socks5", "socks5h"} {
		for _, scheme := range []string{"http", "https"} {
			t.Run(kind+" proxy to "+scheme, func(t *testing.T) {
				t.Parallel()
				test(t, kind, scheme == "https")
			})
		}
	}
}

// newProxiedWire is a server, with or without TLS, and the URL by which only its proxy knows it.
func newProxiedWire(t *testing.T, secure bool) (w *wire, hub string) {
	t.Helper()
	play := func(l *link) { l.shake(); l.untilGone() }
	if secure {
		return newTLSWire(t, play), "https://example.com/hub" // as its certificate has it
	}
	return newWire(t, play), "http://hub.invalid/hub"
}

// trusted trusts the one certificate that httptest has, of servers and of proxies.
func trusted(t *testing.T) (config *tls.Config, certificate []byte) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return &tls.Config{RootCAs: pool}, s.Certificate().Raw
}

// TestKindsOfProxies: every transport goes through every kind of proxy that net/http knows, with its user and password.
func TestKindsOfProxies(t *testing.T) {
	eachProxy(t, func(t *testing.T, kind string, secure bool) {
		for _, transport := range []Transport{WebSockets, ServerSentEvents, LongPolling} {
			w, hub := newProxiedWire(t, secure)
			address, p := newProxy(t, kind, w.server.Listener.Addr().String())
			proxy, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			config, _ := trusted(t)
			through := &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: config}
			o := w.on(transport)
			o.HTTPClient = &http.Client{Transport: through}
			r := w.rig()
			c := r.start(r.open(hub, o))
			if p.seen.Load() == 0 || c.Transport() != transport {
				t.Errorf("%s with %d requests through the proxy", c.Transport(), p.seen.Load())
			}
			if err := c.Stop(r.within()); err != nil {
				t.Error(err)
			}
			through.CloseIdleConnections()
			guessed := *proxy // the transport may still dial, and reads its own URL
			guessed.User = url.UserPassword(proxyUser, "guessed")
			through = &http.Transport{Proxy: http.ProxyURL(&guessed), TLSClientConfig: config}
			o.HTTPClient = &http.Client{Transport: through}
			o.SkipNegotiation = transport == WebSockets
			if err := r.open(hub, o).Start(r.within()); err == nil {
				t.Error("the proxy was passed with a wrong password")
			}
			through.CloseIdleConnections()
		}
	})
}

// TestEnvironmentProxy does the same with the proxies of the environment, which Go reads once a process and never uses
// for loopback addresses.
func TestEnvironmentProxy(t *testing.T) {
	const child = "CARILLON_TEST_CHILD"
	if hub := os.Getenv(child); hub != "" {
		each(t, func(t *testing.T, transport Transport) {
			r := &rig{T: t, combo: combo{transport, combos()[0].protocol}}
			r.start(r.open(hub, r.options()))
		})
		return
	}
	_, certificate := trusted(t)
	file := filepath.Join(t.TempDir(), "trusted.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600); err != nil {
		t.Fatal(err)
	}
	eachProxy(t, func(t *testing.T, kind string, secure bool) {
		w, hub := newProxiedWire(t, secure)
		address, p := newProxy(t, kind, w.server.Listener.Addr().String())
		run := func(noProxy string) ([]byte, error) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestEnvironmentProxy$")
			// A connection of HTTP/2 becomes idle some time after its last request has ended. The child
			// would report it as a leak, because the server, which is here, outlives the child.
			cmd.Env = append(os.Environ(), child+"="+hub, "HTTP_PROXY="+address, "HTTPS_PROXY="+address, "NO_PROXY="+noProxy,
				"SSL_CERT_FILE="+file, "GODEBUG=http2client=0")
			return cmd.CombinedOutput()
		}
		if out, err := run(""); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if seen := p.seen.Swap(0); seen == 0 {
			t.Error("nothing came through the proxy")
		}
		if u, _ := url.Parse(hub); !secure { // there is no such host without the proxy
			if _, err := run(u.Hostname()); err == nil || p.seen.Load() > 0 {
				t.Errorf("NO_PROXY: %v, %d requests through the proxy", err, p.seen.Load())
			}
		}
	})
}
