package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/testproc"
	"github.com/carillon-go/carillon/signalr"
)

// gatewayProcess is the program as it is deployed, signals included.
type gatewayProcess struct {
	*testproc.Process
	t *testing.T
}

func startProcess(t *testing.T, flags ...string) *gatewayProcess {
	t.Helper()
	binary, err := testproc.Build(".")
	if err != nil {
		t.Fatal(err)
	}
	p, err := testproc.Start(testproc.FreeAddress(), append([]string{binary, "--interval=-1s", "--log-format", "text"}, flags...)...)
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

// dial opens a WebSocket.
func (p *gatewayProcess) dial() *websocket.Conn {
	p.t.Helper()
	conn, response, err := websocket.DefaultDialer.Dial("ws://"+p.Addr+"/hubs/clock", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = response.Body.Close()
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	p.say(conn, "{\"protocol\":\"json\",\"version\":1}\x1e", "{}\x1e")
	return conn
}

// hearEnd fails the test unless the WebSocket is reset, without a message or a close frame.
func (p *gatewayProcess) hearEnd(conn *websocket.Conn) {
	p.t.Helper()
	if _, text, err := conn.ReadMessage(); !errors.Is(err, syscall.ECONNRESET) {
		p.t.Fatalf("%q, %v", text, err)
	}
}

// hang begins a POST and does not send the rest of it. The server waits for that.
func (p *gatewayProcess) hang() {
	p.t.Helper()
	response, err := http.Post("http://"+p.Addr+"/hubs/clock/negotiate?negotiateVersion=1", "", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	var negotiation signalr.Negotiation
	if err := json.NewDecoder(response.Body).Decode(&negotiation); err != nil {
		p.t.Fatal(err)
	}
	path := "/hubs/clock?id=" + negotiation.ConnectionToken
	p.do(http.MethodGet, path) // opens the connection
	conn, err := net.Dial("tcp", p.Addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", path, p.Addr)
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" { // it reads the body
		p.t.Fatalf("%q, %v", line, err)
	}
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

// While the server shuts down it answers its probes, but no new client is sent here or let in. The second signal ends it at
// once.
func TestDrainOfTheProcess(t *testing.T) {
	p := startProcess(t)
	if answer := p.do(http.MethodGet, "/readyz"); answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status)
	}
	conn := p.dial()
	p.hang()
	p.terminate()
	p.hearEnd(conn)
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

// A process whose clients have gone ends with status 0.
func TestEndOfTheProcess(t *testing.T) {
	p := startProcess(t)
	conn := p.dial()
	p.terminate()
	p.hearEnd(conn)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}
