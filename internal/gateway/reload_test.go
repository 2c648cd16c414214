package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// reloading is a gateway whose settings change while it runs.
type reloading struct {
	*running
	signal chan os.Signal
	level  slog.LevelVar

	mu     sync.Mutex
	config Config
	err    error
}

// startReloading starts a gateway with TLS and tokens that looks at its files often.
func startReloading(t *testing.T) *reloading {
	t.Helper()
	r := &reloading{signal: make(chan os.Signal, 1)}
	r.running = startWith(t, func(c *Config) {
		c.TLSCert, c.TLSKey = certificate(t)
		c.JWTKey = keyFile(t)
		c.JWTUserClaim = "name"
		c.CORSOrigin = []string{"https://old.example"}
		r.config = *c
	}, func(s *Server) {
		s.filesInterval = 5 * time.Millisecond
		s.Follow(Source{Settings: r.settings, Signal: r.signal, Level: &r.level})
	})
	return r
}

func (r *reloading) settings() (Config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config, r.err
}

// change changes the settings, sends the signal and waits for a line of the log.
func (r *reloading) change(line string, change func(*Config)) {
	r.t.Helper()
	before := strings.Count(r.log.String(), line)
	r.mu.Lock()
	change(&r.config)
	r.mu.Unlock()
	r.signal <- syscall.SIGHUP
	r.await(func() bool { return strings.Count(r.log.String(), line) > before }, line)
}

func (r *reloading) await(done func() bool, what string) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // waits for another goroutine
		if time.Now().After(deadline) {
			r.t.Fatalf("there is no %q\n%s", what, r.log)
		}
	}
}

func (r *reloading) negotiate(secret []byte, header ...string) *http.Response {
	r.t.Helper()
	token := signed(r.t, jwt.SigningMethodHS256, secret, "", jwt.MapClaims{"name": "a", "exp": time.Now().Add(time.Hour).Unix()})
	return r.do(http.MethodPost, "/hubs/clock/negotiate?negotiateVersion=1", "", append(header, "Authorization", "Bearer "+token)...)
}

// serial returns the serial number of the certificate in use.
func (r *reloading) serial() string {
	r.t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is the test's own
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	return string(conn.ConnectionState().PeerCertificates[0].Raw)
}

func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	temporary := filepath.Join(t.TempDir(), "new")
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		t.Fatal(err)
	}
}

func contentOf(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

const reloaded, kept = `"settings reloaded"`, `"settings not reloaded"`

// A signal applies the settings that a reload can change, and names those that it cannot.
func TestReloadBySignal(t *testing.T) {
	t.Parallel()
	r := startReloading(t)
	if answer := r.negotiate(secretKey, "Origin", "https://new.example"); answer.StatusCode != http.StatusForbidden {
		t.Fatal(answer.Status)
	}
	r.change(reloaded, func(c *Config) {
		c.CORSOrigin = []string{"https://new.example"}
		c.Rule = []string{"127.0.0.0/8=LongPolling"}
		c.LogLevel = slog.LevelWarn
		c.Path, c.MaxConnections = "/other", 7
	})
	answer := r.negotiate(secretKey, "Origin", "https://new.example")
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Access-Control-Allow-Origin") != "https://new.example" {
		t.Errorf("the new origin: %s, %v", answer.Status, answer.Header)
	}
	if reason := answer.Header.Get("Carillon-Transport-Reason"); reason != "rule for 127.0.0.0/8" {
		t.Errorf("the new rule: %q", reason)
	}
	if answer := r.negotiate(secretKey, "Origin", "https://old.example"); answer.StatusCode != http.StatusForbidden {
		t.Errorf("the old origin: %s", answer.Status)
	}
	if r.level.Level() != slog.LevelWarn {
		t.Error(r.level.Level())
	}
	r.await(func() bool { return strings.Contains(r.log.String(), `settings="[--path --max-connections]"`) }, "the settings that need a restart")
	r.change(reloaded, func(c *Config) { c.CORSOrigin = []string{"*"} })
	if answer := r.do(http.MethodGet, "/hubs/clock/carillon.js", "", "Origin", "https://any.example"); answer.Header.Get("Access-Control-Allow-Origin") != "https://any.example" || answer.Header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Error(answer.Header)
	}
	r.change(reloaded, func(c *Config) { c.CORSOrigin = nil })
	if answer := r.do(http.MethodGet, "/hubs/clock/carillon.js", "", "Origin", "https://any.example"); answer.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error(answer.Header)
	}
}

// Changed files are read without a signal.
func TestReloadOfFiles(t *testing.T) {
	t.Parallel()
	r := startReloading(t)
	before := r.serial()
	cert, key := certificate(t)
	replace(t, r.config.TLSCert, contentOf(t, cert))
	replace(t, r.config.TLSKey, contentOf(t, key))
	r.await(func() bool { return r.serial() != before }, "new certificate")
	r.await(func() bool { return strings.Contains(r.log.String(), r.config.TLSKey+"]") }, "line that names the file")
	other := []byte("another secret of more than 32 bytes, for tests")
	replace(t, r.config.JWTKey, other)
	r.await(func() bool { return r.negotiate(other).StatusCode == http.StatusOK }, "new key")
	if answer := r.negotiate(secretKey); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old key: %s", answer.Status)
	}
	r.await(func() bool { return strings.Contains(r.log.String(), "changed=[] files=["+r.config.JWTKey+"]") }, "line that names the file")
	r.change(reloaded+" changed=[] files=[]", func(*Config) {})
}

// A wrong file or setting changes nothing, and the log says so.
func TestReloadKeepsTheOldState(t *testing.T) {
	t.Parallel()
	r := startReloading(t)
	before := r.serial()
	origin := func(c *Config) { c.CORSOrigin = []string{"https://new.example"} }
	for name, wrong := range map[string]func(*Config){
		"an unreadable setting": func(*Config) { r.err = errors.New("line 3: no JSON") },
		"a wrong setting":       func(c *Config) { c.Rule = []string{"everywhere=LongPolling"} },
		"a missing certificate": func(c *Config) { c.TLSCert = filepath.Join(t.TempDir(), "none.pem") },
		"an expired certificate": func(c *Config) {
			c.TLSCert, c.TLSKey = certificateValid(t, time.Time{}, time.Now().Add(-time.Hour))
		},
		"a certificate of tomorrow": func(c *Config) {
			c.TLSCert, c.TLSKey = certificateValid(t, time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour))
		},
		"a key of another":        func(c *Config) { _, c.TLSKey = certificate(t) },
		"a missing key of tokens": func(c *Config) { c.JWTKey = filepath.Join(t.TempDir(), "none") },
	} {
		old, _ := r.settings()
		r.change(kept, func(c *Config) {
			origin(c)
			wrong(c)
		})
		if answer := r.negotiate(secretKey, "Origin", "https://old.example"); answer.StatusCode != http.StatusOK || r.serial() != before {
			t.Errorf("%s: %s", name, answer.Status)
		}
		r.mu.Lock()
		r.config, r.err = old, nil
		r.mu.Unlock()
	}
	replace(t, r.config.JWTKey, []byte("too short"))
	r.await(func() bool { return strings.Contains(r.log.String(), "the secret has 9 bytes") }, "error of the key")
	if answer := r.negotiate(secretKey); answer.StatusCode != http.StatusOK {
		t.Error(answer.Status)
	}
	for _, want := range []string{"the certificate expired at ", "the certificate is not valid before ", "; the one in use remains"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("no %q in the log", want)
		}
	}
}

// A certificate that is not valid yet is taken when its time comes. No file changes then.
func TestReloadOfAnEarlyCertificate(t *testing.T) {
	t.Parallel()
	r := startReloading(t)
	before := r.serial()
	r.change(kept, func(c *Config) {
		c.TLSCert, c.TLSKey = certificateValid(t, time.Now().Add(15*time.Second), time.Now().Add(time.Hour))
	})
	r.await(func() bool { return r.serial() != before }, "new certificate")
	if n := strings.Count(r.log.String(), kept); n != 1 {
		t.Errorf("%d lines about the early certificate", n)
	}
}

// A provider of keys that does not answer delays no reload. A request for keys gives up after
// five seconds, so a slow machine has several attempts.
func TestReloadWhileTheProviderHangs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			<-r.Context().Done()
		}
		_, _ = io.WriteString(w, `{"keys":[]}`)
	}))
	t.Cleanup(provider.Close)
	r := &reloading{signal: make(chan os.Signal, 1)}
	r.running = startWith(t, func(c *Config) {
		c.JWKSURL = provider.URL
		r.config = *c
	}, func(s *Server) { s.Follow(Source{Settings: r.settings, Signal: r.signal, Level: &r.level}) })
	for range 4 {
		before := asked.Load()
		r.change(reloaded, func(*Config) {})
		r.await(func() bool { return asked.Load() > before }, "request for keys")
		before = asked.Load()
		r.change(reloaded, func(*Config) {})
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // the next request follows if this one has given up
		if asked.Load() == before {
			return
		}
	}
	t.Error("each reload waited for the provider")
}

// The error of a reload names the places of the settings.
func TestReloadLocatesErrors(t *testing.T) {
	t.Parallel()
	r := &reloading{signal: make(chan os.Signal, 1)}
	locate := func(err error) error { return errors.New("config.json:7: " + err.Error()) }
	r.running = startWith(t, func(c *Config) { r.config = *c }, func(s *Server) {
		s.Follow(Source{Settings: r.settings, Signal: r.signal, Level: &r.level, Locate: locate})
	})
	r.change(kept+` error="config.json:7: --rule: `, func(c *Config) { c.Rule = []string{"everywhere=LongPolling"} })
}

// A program starts with a certificate that clients refuse, and warns of it.
func TestStartWithACertificateThatIsNotValid(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for want, valid := range map[string][2]time.Time{
		"the certificate expired at " + now.Add(-time.Hour).UTC().Format(time.RFC3339):         {{}, now.Add(-time.Hour)},
		"the certificate is not valid before " + now.Add(time.Hour).UTC().Format(time.RFC3339): {now.Add(time.Hour), now.Add(2 * time.Hour)},
		"": {now.Add(-time.Hour), now.Add(time.Hour)},
	} {
		r := start(t, func(c *Config) { c.TLSCert, c.TLSKey = certificateValid(t, valid[0], valid[1]) })
		r.do(http.MethodGet, "/healthz", "") // the log is complete
		if log := r.log.String(); strings.Contains(log, `level=WARN msg="certificate not valid"`) != (want != "") || !strings.Contains(log, want) {
			t.Errorf("want %q in the log:\n%s", want, log)
		}
	}
}
