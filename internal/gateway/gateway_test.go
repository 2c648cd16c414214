package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is a gateway that serves on a port of its own until the test ends.
type running struct {
	t      *testing.T
	url    string
	log    *lockedBuffer
	client *http.Client
	stop   context.CancelFunc
	ended  chan error
}

func start(t *testing.T, change func(*Config)) *running {
	t.Helper()
	return startWith(t, change, func(*Server) {})
}

// startWith is start. It calls prepare before the gateway serves.
func startWith(t *testing.T, change func(*Config), prepare func(*Server)) *running {
	t.Helper()
	c := Config{
		Path:            "/hubs/clock",
		Transports:      []string{"WebSockets", "ServerSentEvents", "LongPolling"},
		Interval:        20 * time.Millisecond,
		ShutdownTimeout: 20 * time.Second,
	}
	if change != nil {
		change(&c)
	}
	log := &lockedBuffer{}
	s, err := New(c, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	prepare(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the certificate is the test's own
		ForceAttemptHTTP2: true,
	}
	r := &running{t: t, url: "http://" + l.Addr().String(), log: log, client: &http.Client{Transport: transport}, stop: stop, ended: make(chan error, 1)}
	if c.usesTLS() {
		r.url = "https://" + l.Addr().String()
	}
	go func() { r.ended <- s.Serve(ctx, l) }() // awaited by the clean-up
	t.Cleanup(func() {
		stop()
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
		r.ended <- nil
		transport.CloseIdleConnections()
	})
	return r
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (r *running) do(method, path, body string, header ...string) *http.Response {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func text(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type offer struct {
	ConnectionToken     string
	AvailableTransports []struct{ Transport string }
}

func (r *running) negotiate() offer {
	r.t.Helper()
	var o offer
	response := r.do(http.MethodPost, "/Hubs/Clock/negotiate?negotiateVersion=1", "")
	if err := json.NewDecoder(response.Body).Decode(&o); err != nil {
		r.t.Fatal(err)
	}
	return o
}

// stream opens an event stream past its handshake and returns its hub messages.
func (r *running) stream() (token string, next func() string) {
	r.t.Helper()
	token = r.negotiate().ConnectionToken
	response := r.do(http.MethodGet, "/hubs/clock?id="+token, "", "Accept", "text/event-stream")
	lines := bufio.NewReader(response.Body)
	r.do(http.MethodPost, "/hubs/clock?id="+token, "{\"protocol\":\"json\",\"version\":1}\x1e")
	return token, func() string {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return err.Error()
			}
			if message, ok := strings.CutPrefix(line, "data: "); ok {
				return strings.TrimSpace(message)
			}
		}
	}
}

func TestServes(t *testing.T) {
	r := start(t, nil)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/": "<html"} {
		response := r.do(http.MethodGet, path, "")
		if body := text(t, response); response.StatusCode != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %s %.80q", path, response.Status, body)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/", "/assets/clock.js", "/hubs/clock/carillon.js", "/hubs/clock/diagnose"} {
		got, head := r.do(http.MethodGet, path, ""), r.do(http.MethodHead, path, "")
		if head.StatusCode != http.StatusOK || head.ContentLength != got.ContentLength || head.Header.Get("Content-Type") != got.Header.Get("Content-Type") {
			t.Errorf("HEAD %s: %s, %v", path, head.Status, head.Header)
		}
	}
	if response := r.do(http.MethodGet, "/elsewhere", ""); response.StatusCode != http.StatusNotFound {
		t.Error(response.Status)
	}
	_, next := r.stream()
	if hello := next(); hello != "{}\x1e" {
		t.Fatalf("%q", hello)
	}
	if tick := next(); !strings.HasPrefix(tick, `{"type":1,"target":"ShowTime","arguments":["20`) {
		t.Errorf("%q", tick)
	}
}

func TestTransportsAreOfferedInTheirOrder(t *testing.T) {
	r := start(t, func(c *Config) { c.Transports = []string{"longpolling", "websockets"} })
	var names []string
	for _, o := range r.negotiate().AvailableTransports {
		names = append(names, o.Transport)
	}
	if got := strings.Join(names, " "); got != "LongPolling WebSockets" {
		t.Error(got)
	}
}

func TestNoTokenIsLogged(t *testing.T) {
	r := start(t, nil)
	token, next := r.stream()
	next()
	r.do(http.MethodGet, "/hubs/clock?access_token=secret&ID=hidden", "")
	r.stop()
	err := <-r.ended
	r.ended <- err
	for _, secret := range []string{token, "secret", "hidden"} {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
	if !strings.Contains(r.log.String(), "access_token=***") {
		t.Error("the request is not in the log at all")
	}
}

func TestOrigins(t *testing.T) {
	r := start(t, func(c *Config) {
		c.CORSOrigin = []string{"https://a.example", "https://C.example:443", "https://*.d.example"}
	})
	for origin, want := range map[string]string{"https://a.example": "https://a.example", "https://b.example": "", "https://c.example": "https://c.example",
		"https://x.d.example": "https://x.d.example", "https://d.example": "", "https://x.d.example:8443": ""} {
		response := r.do(http.MethodOptions, "/hubs/clock/negotiate", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		if got := response.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: allowed %q", origin, got)
		}
		admitted := http.StatusForbidden
		if want != "" {
			admitted = http.StatusOK
		}
		if response := r.do(http.MethodPost, "/hubs/clock/negotiate", "", "Origin", origin, "Cookie", "a=b"); response.StatusCode != admitted {
			t.Errorf("%s: %s", origin, response.Status)
		}
		if got := response.Header.Get("Access-Control-Max-Age"); got != "7200" && want != "" {
			t.Errorf("%s: for %q seconds", origin, got)
		}
	}
}

// The end reaches every client as a close message that lets it come back.
// The stream of a client that cannot resume ends without a close message, which some clients
// take for the end.
func TestShutdownEndsStreams(t *testing.T) {
	r := start(t, nil)
	_, next := r.stream()
	next()
	r.stop()
	for {
		switch m := next(); {
		case strings.HasPrefix(m, `{"type":1`):
		case m == "EOF":
			return
		default:
			t.Fatalf("%q", m)
		}
	}
}

func TestHTTP2CarriesEventStreams(t *testing.T) {
	cert, key := certificate(t)
	r := start(t, func(c *Config) { c.TLSCert, c.TLSKey = cert, key })
	if response := r.do(http.MethodGet, "/healthz", ""); response.ProtoMajor != 2 {
		t.Errorf("over %s", response.Proto)
	}
	_, next := r.stream()
	if hello := next(); hello != "{}\x1e" {
		t.Errorf("%q", hello)
	}
}

func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	return certificateValid(t, time.Time{}, time.Now().Add(time.Hour))
}

func certificateValid(t *testing.T, from, until time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}

func TestInvalidSettings(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"--path":                 func(c *Config) { c.Path = "hub" },
		`end in "Events"`:        func(c *Config) { c.Path = "/clock/Events" }, // every client would be a listener
		"--transports":           func(c *Config) { c.Transports = []string{"carrier pigeon"} },
		"--rule":                 func(c *Config) { c.Rule = []string{"10.0.0.0=LongPolling"} },
		"--tls-cert":             func(c *Config) { c.TLSCert = "cert.pem" },
		"--cors-origin":          func(c *Config) { c.CORSOrigin = []string{"example.com"} },
		`"https://*example.com"`: func(c *Config) { c.CORSOrigin = []string{"https://*example.com"} },
		`in "carillon.js"`:       func(c *Config) { c.Path = "/clock/carillon.js" },
		`in "diagnose"`:          func(c *Config) { c.Path = "/diagnose" },
		"at /healthz":            func(c *Config) { c.Path = "/healthz" },
		"at /assets":             func(c *Config) { c.Path = "/assets/clock" },
	} {
		c := Config{Path: "/hub", Transports: []string{"WebSockets"}}
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
