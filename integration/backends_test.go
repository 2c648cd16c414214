package integration_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/internal/testproc"
	"github.com/carillon-go/carillon/signalr"
)

// backends are the examples whose backends are not in Go, with the programs that run these.
var backends = map[string]string{"chat-python": "python3", "chat-node": "node"}

// TestExamplesWithABackend starts each example by its command, and opens its page in headless Chromium over each transport.
func TestExamplesWithABackend(t *testing.T) {
	t.Parallel()
	r := clients.Start(t, "backends.js", "CHROMIUM="+clients.FindChromium(t))
	for name := range backends {
		t.Run(name, func(t *testing.T) {
			e := copyExample(t, name)
			t.Cleanup(func() { e.mustBeOver(t) })
			s := startServerAt(t, e.page, true, e.command(t)...)
			awaitListener(t, e.page) // the gateway says first that it listens
			e.sendForgeries(t)
			for _, transport := range signalr.Transports() {
				t.Run(string(transport), func(t *testing.T) {
					for _, scenario := range r.Scenarios {
						if !scenario.Once || transport == signalr.WebSockets {
							test(t, r, "chromium", scenario, s, clients.Combination{Transport: string(transport)})
						}
					}
				})
			}
		})
	}
}

// The gateway does not outlive its backend, which cannot listen.
func TestExampleEndsWithItsBackend(t *testing.T) {
	t.Parallel()
	for name := range backends {
		e := copyExample(t, name)
		l, err := net.Listen("tcp", strings.Replace(e.page, "localhost", "127.0.0.1", 1))
		if err != nil {
			t.Fatal(err)
		}
		command := e.command(t)
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err == nil {
			t.Errorf("%s ends with success: %s", name, out)
		}
		_ = l.Close()
		e.mustBeOver(t)
	}
}

// example is a copy of an example with ports of its own.
type example struct {
	dir           string
	page, gateway string // addresses; cookies of localhost are those of both
}

func copyExample(t *testing.T, name string) *example {
	t.Helper()
	if _, err := exec.LookPath(backends[name]); err != nil {
		clients.Missing(t, err.Error())
	}
	e := &example{dir: t.TempDir(), page: localAddress(), gateway: localAddress()}
	ports := strings.NewReplacer("8080", portOf(e.gateway), "9000", portOf(e.page))
	from := filepath.Join("../examples", name)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) == ".key" { // the keys of somebody who has tried it
			return err
		}
		to := filepath.Join(e.dir, strings.TrimPrefix(path, from))
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if d.Name() == "signalr.min.js" {
			return os.WriteFile(to, text, 0o600)
		}
		return os.WriteFile(to, []byte(ports.Replace(string(text))), 0o700)
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// command returns the command that starts the example. It ignores arguments.
func (e *example) command(t *testing.T) []string {
	t.Helper()
	return []string{"env", "GATEWAY=" + build(t, "../cmd/gateway"), filepath.Join(e.dir, "run")}
}

// mustBeOver fails the test if a program of the example still listens.
func (e *example) mustBeOver(t *testing.T) {
	t.Helper()
	for _, addr := range []string{e.page, e.gateway} {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			t.Errorf("something still listens at %s", addr)
		}
	}
}

// sendForgeries sends the backend webhooks of a stranger, and one that is too old.
func (e *example) sendForgeries(t *testing.T) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(e.dir, "access.key"))
	if err != nil {
		t.Fatal(err)
	}
	body := `{"type":10}`
	sign := func(key string, at time.Time) http.Header {
		stamp := strconv.FormatInt(at.Unix(), 10)
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte("1." + stamp + "." + body))
		return http.Header{"Webhook-Id": {"1"}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {
			"v1,AAAA v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
		}}
	}
	right := strings.TrimSpace(string(key))
	for what, header := range map[string]http.Header{
		"no signature":              {},
		"no number":                 {"Webhook-Timestamp": {"²"}, "Webhook-Signature": {"v1,é"}},
		"another key":               sign(right+"x", time.Now()),
		"an old signature":          sign(right, time.Now().Add(-6*time.Minute)),
		"a signature of the future": sign(right, time.Now().Add(6*time.Minute)),
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+e.page+"/connections", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: the backend answers %s", what, response.Status)
		}
	}
}

// localAddress returns a free address of localhost.
func localAddress() string {
	return strings.Replace(testproc.FreeAddress(), "127.0.0.1", "localhost", 1)
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// awaitListener waits until another process listens.
func awaitListener(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // polls a process
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
