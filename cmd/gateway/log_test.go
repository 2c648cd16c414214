package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/testproc"
	"github.com/carillon-go/carillon/signalr"
)

// provoked is the number of errors that TestAFloodOfErrorsWritesFewLines provokes. The short
// form is that of CI.
var provoked = flag.Int("provoked", 20_000, "number of errors of the test of floods; the long form is 1000000")

const tokenSecret = "0123456789abcdef0123456789abcdef"

// logged is a program whose log is read.
type logged struct {
	t       *testing.T
	log     string // the file
	address string
	cmd     *exec.Cmd
}

// startLogged starts the program with tokens and a log in JSON.
func startLogged(t *testing.T, args ...string) *logged {
	t.Helper()
	binary, err := testproc.Build(".")
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(key, []byte(tokenSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &logged{t: t, log: filepath.Join(t.TempDir(), "log")}
	file, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p.cmd = exec.Command(binary, append([]string{"--addr=127.0.0.1:0", "--interval=-1s", "--log-format=json", "--jwt-key=" + key, "--drain=100ms"}, args...)...)
	p.cmd.Stderr = file
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.address = p.await("listening", nil)["address"].(string)
	return p
}

// lines returns the lines of the log.
func (p *logged) lines() (all []map[string]any) {
	p.t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var fields map[string]any
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		if err := json.Unmarshal(line, &fields); err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		all = append(all, fields)
	}
	return all
}

// await returns the first line with a message and some fields.
func (p *logged) await(message string, fields map[string]any) map[string]any {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		for _, line := range p.lines() {
			if line["msg"] == message && contains(line, fields) {
				return line
			}
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(p.log)
			p.t.Fatalf("the log has no %q with %v:\n%s", message, fields, text)
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // another process writes the log
	}
}

func contains(line, fields map[string]any) bool {
	for key, value := range fields {
		if got, ok := line[key]; !ok || got != value && value != any(nil) {
			return false
		}
	}
	return true
}

// end ends the program and waits for it.
func (p *logged) end() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		p.t.Fatal(err)
	}
}

func tokenOf(t *testing.T, user string) string {
	t.Helper()
	claims := jwt.MapClaims{"sub": user, "exp": time.Now().Add(time.Hour).Unix()}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(tokenSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// request sends a request and returns the status and the answer to a negotiation.
func (p *logged) request(method, path, token string) (status int, n signalr.Negotiation) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.address+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	_ = json.NewDecoder(response.Body).Decode(&n)
	return response.StatusCode, n
}

func (p *logged) negotiate(token string) signalr.Negotiation {
	p.t.Helper()
	status, n := p.request(http.MethodPost, "/hubs/clock/negotiate?negotiateVersion=1", token)
	if status != http.StatusOK {
		p.t.Fatal(status)
	}
	return n
}

// open negotiates and opens a WebSocket with the token in the URL, as browsers do.
func (p *logged) open(token string) (*websocket.Conn, signalr.Negotiation) {
	p.t.Helper()
	n := p.negotiate(token)
	conn, response, err := websocket.DefaultDialer.Dial("ws://"+p.address+"/hubs/clock?id="+n.ConnectionToken+"&access_token="+token, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = response.Body.Close()
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
	return conn, n
}

// connect opens a WebSocket and shakes hands.
func (p *logged) connect(token string) (*websocket.Conn, signalr.Negotiation) {
	p.t.Helper()
	conn, n := p.open(token)
	say(p.t, conn, `{"protocol":"json","version":1}`)
	if _, answer, err := conn.ReadMessage(); err != nil || string(answer) != "{}\x1e" {
		p.t.Fatalf("%q, %v", answer, err)
	}
	return conn, n
}

func say(t *testing.T, conn *websocket.Conn, record string) {
	t.Helper()
	if err := conn.WriteMessage(websocket.TextMessage, []byte(record+"\x1e")); err != nil {
		t.Fatal(err)
	}
}

func call(method, arguments string) string {
	return fmt.Sprintf(`{"type":1,"target":%q,"arguments":[%s]}`, method, arguments)
}

func TestEachSituationHasItsLine(t *testing.T) {
	p := startLogged(t, "--log-level=debug", "--shutdown-timeout=2s")
	token := tokenOf(t, "ann")
	conn, n := p.connect(token)
	id := n.ConnectionID
	session := map[string]any{"hub": "ClockHub", "connection_id": id, "user": "ann"}
	silent, other := p.open(token)
	for _, c := range []struct {
		situation string
		provoke   func()
		level     string
		message   string
		fields    map[string]any // nil: any value
	}{
		{"a negotiation", func() {}, "DEBUG", "request", map[string]any{"method": "POST", "status": 200.0, "connection_id": id, "duration_s": nil, "address": "127.0.0.1"}},
		{"a connection opens", func() {}, "INFO", "connection opened", with(session, "address", "127.0.0.1", "transport", "WebSockets", "protocol", "json")},
		{"the request of a WebSocket", func() {}, "DEBUG", "request", map[string]any{"method": "GET", "status": 101.0, "connection_id": id}},
		{"a liveness probe", func() { p.request(http.MethodGet, "/healthz", "") }, "DEBUG", "request", map[string]any{"uri": "/healthz", "status": 200.0}},
		{"a readiness probe", func() { p.request(http.MethodGet, "/readyz", "") }, "DEBUG", "request", map[string]any{"uri": "/readyz", "status": 200.0}},
		{"a HEAD", func() { p.request(http.MethodHead, "/", "") }, "DEBUG", "request", map[string]any{"method": "HEAD", "uri": "/"}},
		{"a page", func() { p.request(http.MethodGet, "/", "") }, "INFO", "request", map[string]any{"method": "GET", "uri": "/", "status": 200.0}},
		{"no token", func() { p.request(http.MethodPost, "/hubs/clock/negotiate", "") }, "WARN", "authentication refused", map[string]any{"reason": "no credentials", "address": "127.0.0.1"}},
		{"a wrong token", func() { p.request(http.MethodPost, "/hubs/clock/negotiate", "nonsense") }, "WARN", "authentication refused", map[string]any{"reason": "The token is malformed"}},
		{"another user", func() { p.request(http.MethodGet, "/hubs/clock?id="+n.ConnectionToken, tokenOf(t, "bob")) }, "WARN", "authentication refused", map[string]any{"connection_id": id, "reason": "the connection belongs to another user"}},
		{"an argument of a wrong type", func() { say(t, conn, call("SendTimeToClients", `"hidden"`)) }, "WARN", "arguments do not bind", with(session, "method", "SendTimeToClients", "argument", 1.0, "type", "time.Time")},
		{"an unknown method", func() { say(t, conn, call("Nothing", "")) }, "WARN", "invocation refused", with(session, "method", "Nothing", "reason", "Method does not exist.")},
		{"a client closes", func() { say(t, conn, `{"type":7}`) }, "INFO", "connection ended", with(session, "address", "127.0.0.1", "transport", "WebSockets", "protocol", "json", "duration_s", nil, "received_bytes", nil, "sent_bytes", nil, "cause", "closed in order")},
		{"a client without a handshake goes", func() { _ = silent.Close() }, "INFO", "connection ended", map[string]any{"connection_id": other.ConnectionID, "protocol": ""}},
	} {
		c.provoke()
		if line := p.await(c.message, c.fields); line["level"] != c.level {
			t.Errorf("%s: the level of %v is not %s", c.situation, line, c.level)
		}
	}
	_ = conn.Close()
	p.await("transport ended", map[string]any{"connection_id": id})
	p.await("transport ended", map[string]any{"connection_id": other.ConnectionID})
	p.connect(token)
	p.end()
	if line := p.await("stopped", nil); line["level"] != "INFO" || line["drained"] != 1.0 || line["cut"] != 0.0 || line["orderly"] != true || line["duration_s"] == nil {
		t.Error(line)
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{token, tokenSecret, n.ConnectionToken, other.ConnectionToken, "hidden", "nonsense"} {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

// with returns fields and further ones, given as keys and values.
func with(fields map[string]any, more ...any) map[string]any {
	all := map[string]any{}
	for key, value := range fields {
		all[key] = value
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}

// Clients provoke errors of all kinds. The log says how many lines it left out.
func TestAFloodOfErrorsWritesFewLines(t *testing.T) {
	p := startLogged(t)
	token := tokenOf(t, "ann")
	each := *provoked / 4
	var clients sync.WaitGroup
	for _, provoke := range []func(){
		func() { p.flood(each, token, call("Nothing", "")) },
		func() { p.flood(each, token, call("SendTimeToClients", `"hidden"`)) },
		func() {
			for range each {
				p.request(http.MethodPost, "/hubs/clock/negotiate", "nonsense")
			}
		},
		func() {
			for range each / 10 { // each takes a connection
				conn, _ := p.connect(token)
				say(t, conn, "malformed")
				_, _, _ = conn.ReadMessage()
				_ = conn.Close()
			}
		},
	} {
		clients.Go(provoke)
	}
	clients.Wait()
	p.end()
	counts := map[string]int{}
	written, leftOut := 0, 0.0
	for _, line := range p.lines() {
		n, _ := line["left_out"].(float64)
		leftOut += n
		written++
		counts[line["level"].(string)+" "+line["msg"].(string)]++
	}
	// A connection is left out of two lines and counted once.
	if provoked := float64(3*each + each/10); written > 1500 || leftOut < provoked-1000 {
		t.Errorf("%d lines, %v left out of %v: %v", written, leftOut, provoked, counts)
	}
	t.Logf("%d lines, %v left out: %v", written, leftOut, counts)
}

// flood sends a record n times. Each connection sends fewer than the limit of its rate.
func (p *logged) flood(n int, token, record string) {
	const batch, perConnection = 100, 20_000
	records := []byte(strings.Repeat(record+"\x1e", batch))
	for ; n > 0; n -= perConnection {
		conn, _ := p.connect(token)
		for range min(n, perConnection) / batch {
			if err := conn.WriteMessage(websocket.TextMessage, records); err != nil {
				p.t.Error(err)
				return
			}
		}
		say(p.t, conn, `{"type":7}`)
		for err := error(nil); err == nil; _, _, err = conn.ReadMessage() { // it ends after all records
		}
		_ = conn.Close()
	}
}
