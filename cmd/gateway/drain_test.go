package main

import (
	"errors"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/testproc"
)

// gatewayProcess is the program as it is deployed, signals included.
type gatewayProcess struct {
	*testproc.Process
	t *testing.T
}

func startProcess(t *testing.T) *gatewayProcess {
	t.Helper()
	binary, err := testproc.Build(t.TempDir(), ".")
	if err != nil {
		t.Fatal(err)
	}
	p, err := testproc.Start(testproc.FreeAddress(), binary, "--interval=-1s", "--log-format", "text")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return &gatewayProcess{p, t}
}

func (p *gatewayProcess) terminate() {
	p.t.Helper()
	if err := p.Terminate(); err != nil {
		p.t.Fatal(err)
	}
}

// dial opens a WebSocket whose client does not answer the server's close frame: the server waits for that.
func (p *gatewayProcess) dial() *websocket.Conn {
	p.t.Helper()
	conn, response, err := websocket.DefaultDialer.Dial("ws://"+p.Addr+"/hubs/clock", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = response.Body.Close()
	p.t.Cleanup(func() { _ = conn.Close() })
	conn.SetCloseHandler(func(int, string) error { return nil })
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	p.say(conn, "{\"protocol\":\"json\",\"version\":1}\x1e", "{}\x1e")
	return conn
}

func (p *gatewayProcess) say(conn *websocket.Conn, text, want string) {
	p.t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
	p.hear(conn, want)
}

func (p *gatewayProcess) hear(conn *websocket.Conn, want string) {
	p.t.Helper()
	if _, got, err := conn.ReadMessage(); err != nil || string(got) != want {
		p.t.Fatalf("%q, %v, want %q", got, err, want)
	}
}

func (p *gatewayProcess) do(method, path string) *http.Response {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.Addr+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

const farewell = "{\"type\":7,\"allowReconnect\":true}\x1e"

// Once the first client is asked to leave, nobody new is sent here or let in; the second signal does not wait for those
// who are slow to go.
func TestDrainOfTheProcess(t *testing.T) {
	p := startProcess(t)
	if answer := p.do(http.MethodGet, "/readyz"); answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
	conn := p.dial()
	p.terminate()
	p.hear(conn, farewell)
	if answer := p.do(http.MethodGet, "/readyz"); answer.StatusCode != http.StatusServiceUnavailable {
		t.Error("ready:", answer.Status)
	}
	if answer := p.do(http.MethodGet, "/healthz"); answer.StatusCode != http.StatusOK {
		t.Error("healthy:", answer.Status)
	}
	answer := p.do(http.MethodPost, "/hubs/clock/negotiate?negotiateVersion=1")
	if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Error("negotiate:", answer.Status, answer.Header)
	}
	p.terminate()
	var exit *exec.ExitError
	if err := p.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("after the second signal: %v", err)
	}
}

// A client that goes in order lets the process do so.
func TestEndOfTheProcess(t *testing.T) {
	p := startProcess(t)
	conn := p.dial()
	conn.SetCloseHandler(nil)
	p.terminate()
	p.hear(conn, farewell)
	if _, _, err := conn.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Error(err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}
