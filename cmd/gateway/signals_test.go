package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

func (p *gatewayProcess) await(text string) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.Output.String(), text); time.Sleep(5 * time.Millisecond) { //nolint:forbidigo // waits for another process
		if time.Now().After(deadline) || !p.Running() {
			p.t.Fatalf("%q is missing in\n%s", text, &p.Output)
		}
	}
}

// SIGHUP reloads the configuration file and does not end the program. A wrong file is named with
// the line and the key, and changes nothing.
func TestHangupReloads(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("{}")
	p := startProcess(t, "--config", file)
	conn := p.dial()
	write("{\n\"cors-origin\": [\"https://new.example\"],\n\"max-connections\": 7}")
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.await(`msg="settings reloaded" changed=[--cors-origin]`)
	p.await("settings=[--max-connections]")
	if answer := p.allowed("https://new.example"); answer != "https://new.example" {
		t.Errorf("allowed: %q", answer)
	}
	write("{\n\"cors-origin\": [\"nonsense\"]}")
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.await(`config.json:2: \"cors-origin\": `)
	if answer := p.allowed("https://new.example"); answer != "https://new.example" {
		t.Errorf("after a wrong file: %q", answer)
	}
	write("{\n\"cors-origin\": [\"https://newer.example\"]}")                                                                  // without a signal
	for deadline := time.Now().Add(time.Minute); p.allowed("https://newer.example") == ""; time.Sleep(50 * time.Millisecond) { //nolint:forbidigo // waits for another process
		if time.Now().After(deadline) {
			t.Fatalf("the changed file is not read\n%s", &p.Output)
		}
	}
	p.terminate()
	p.hearEnd(conn)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// allowed returns the origin that may read an answer to a page of an origin.
func (p *gatewayProcess) allowed(origin string) string {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, "http://"+p.Addr+"/hubs/clock/negotiate?negotiateVersion=1", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Origin", origin)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	return response.Header.Get("Access-Control-Allow-Origin")
}

// A provider of keys that answers nothing delays neither the start nor the end: its requests are
// cancelled before they fail.
func TestSilentProviderOfKeys(t *testing.T) {
	asked, cancelled := make(chan struct{}, 10), make(chan struct{}, 10)
	provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
		cancelled <- struct{}{}
	}))
	defer provider.Close()
	p := startProcess(t, "--jwks-url", provider.URL) // returns when it listens
	<-asked
	if len(cancelled) > 0 {
		t.Error("the start waits for the provider")
	}
	p.terminate()
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	<-cancelled
	if strings.Contains(p.Output.String(), "cannot be read") {
		t.Errorf("the end waits for the provider\n%s", &p.Output)
	}
}

// A log that nothing reads any more does not end the program.
func TestBrokenLog(t *testing.T) {
	binary, err := testproc.Build(".")
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	addr := testproc.FreeAddress()
	process, err := os.StartProcess(binary, []string{binary, "--addr", addr, "--interval", "0", "--log-level", "DEBUG"}, &os.ProcAttr{Files: []*os.File{nil, writer, writer}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = process.Kill() }()
	_ = writer.Close()
	if _, err := io.ReadFull(reader, make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	_ = reader.Close()
	p := &gatewayProcess{&testproc.Process{Addr: addr}, t}
	for range 3 { // each request writes a line
		p.do(http.MethodGet, "/healthz")
	}
	if err := process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if state, err := process.Wait(); err != nil || !state.Success() {
		t.Errorf("%v, %v", state, err)
	}
}
