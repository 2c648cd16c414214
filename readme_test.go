package carillon_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/internal/testproc"
)

// The programs of the README run as they stand there, but for their ports.

const patience = time.Minute

// snippet is the n-th block of a language in the README.
func snippet(t *testing.T, language string, n int) string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(readme, -1)
	if n >= len(blocks) {
		t.Fatalf("the README has %d blocks of %s", len(blocks), language)
	}
	return string(blocks[n][1])
}

func build(t *testing.T, source string) string {
	t.Helper()
	binary, err := testproc.Build(source)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// run starts a program that is killed at the end of the test, at the latest after patience.
func run(t *testing.T, stderr io.Writer, binary string, args ...string) (context.Context, *exec.Cmd) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	return ctx, cmd
}

// terminate asks a program to end, and fails the test unless it ends with exit status 0.
func terminate(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// buildSnippet builds the n-th Go program of the README, with another address in it.
func buildSnippet(t *testing.T, n int, address, replacement string) string {
	t.Helper()
	main := filepath.Join(t.TempDir(), "main.go")
	source := strings.ReplaceAll(snippet(t, "go", n), address, replacement)
	if err := os.WriteFile(main, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	return build(t, main)
}

// serve starts a server and waits until it answers. The server's log goes to stderr, which may be nil.
func serve(t *testing.T, stderr io.Writer, addr, binary string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cmd := run(t, stderr, binary, args...)
	for {
		response, err := http.Get("http://" + addr + "/")
		if err == nil {
			_ = response.Body.Close()
			return cmd
		}
		if ctx.Err() != nil {
			t.Fatalf("it does not listen: %v", err)
		}
		time.Sleep(20 * time.Millisecond) // between two questions to another process
	}
}

func node(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat("integration/clients/node_modules/@microsoft/signalr")
	}
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skipf("needs Node and the official client (make clients): %v", err)
	return ""
}

// runScript runs a module in Node with the official client and returns the first
// line it prints.
func runScript(t *testing.T, source string) string {
	t.Helper()
	program := node(t)
	modules, err := filepath.Abs("integration/clients/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "client.mjs")
	if err := os.WriteFile(script, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	cmd := exec.CommandContext(ctx, program, script)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	cancel() // a client runs until it is ended
	_ = cmd.Wait()
	if err != nil {
		t.Errorf("it printed %q, then %v", line, err)
	}
	return strings.TrimSpace(line)
}

func TestJavaScriptClient(t *testing.T) {
	node(t)
	addr := testproc.FreeAddress()
	serve(t, nil, addr, build(t, "./cmd/gateway"), "--addr", addr)
	script := strings.ReplaceAll(snippet(t, "js", 0), "localhost:8080", addr)
	if line := runScript(t, script); !strings.HasPrefix(line, "tick ") {
		t.Errorf("printed %q", line)
	}
}

// The hub is mounted at both patterns, logs what goes wrong, and ends its connections at the shutdown.
func TestHub(t *testing.T) {
	node(t)
	addr := testproc.FreeAddress()
	var log testproc.Output
	cmd := serve(t, &log, addr, buildSnippet(t, 0, "localhost:8081", addr))
	script := `
import { HttpTransportType, HubConnectionBuilder } from "@microsoft/signalr";
const connect = (options) => new HubConnectionBuilder().withUrl("http://` + addr + `/chat", options).configureLogging("none").build();
const connection = connect({});
const direct = connect({ skipNegotiation: true, transport: HttpTransportType.WebSockets }); // only /chat
let sum, other;
connection.on("Receive", (user, text) => console.log(user, text, sum, other));
await connection.start();
await direct.start();
sum = await connection.invoke("Add", 20, 22);
other = await direct.invoke("Add", 1, 2);
await direct.invoke("Add", "one", 2).catch(() => {});
await connection.invoke("Send", "Ada", "hello");
`
	if line := runScript(t, script); line != "Ada hello 42 3" {
		t.Errorf("printed %q", line)
	}

	conn := client.New("http://"+addr+"/chat", client.Options{})
	if err := conn.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	lost := make(chan struct{})
	conn.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.To == client.Disconnected {
			close(lost)
		}
	})
	terminate(t, cmd)
	select {
	case <-lost:
	case <-time.After(patience):
		t.Error("the shutdown leaves a connection open")
	}
	for _, want := range []string{"hub at http://" + addr + "/chat\n", "WARN arguments do not bind ", "method=Add"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, &log)
		}
	}
}

// The Go client starts before its server, outlives a restart of the server, and prints
// nothing but ticks.
func TestGoClient(t *testing.T) {
	addr := testproc.FreeAddress()
	gateway := build(t, "./cmd/gateway")
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	_, conn := run(t, output, buildSnippet(t, 1, "localhost:8080", addr))
	for range 2 {
		begin := time.Now()
		server := serve(t, nil, addr, gateway, "--addr", addr)
		awaitTick(t, output.Name(), begin)
		terminate(t, server)
	}
	terminate(t, conn)
	ticks(t, output.Name()) // nothing else at the end either
}

// awaitTick waits until a client has printed a tick that is later than a time.
func awaitTick(t *testing.T, file string, begin time.Time) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if slices.ContainsFunc(ticks(t, file), begin.Before) {
			return
		}
		time.Sleep(20 * time.Millisecond) // another process writes the file
	}
	t.Fatal("no tick")
}

// ticks returns the ticks that a client has printed, and fails the test if the client has
// printed anything else.
func ticks(t *testing.T, file string) (times []time.Time) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, line := range lines[:len(lines)-1] { // the last one may be incomplete
		_, tick, _ := strings.Cut(line, " tick ")
		at, err := time.Parse("2006-01-02 15:04:05.999999999 -0700 MST", tick)
		if err != nil {
			t.Fatalf("printed %q", line)
		}
		times = append(times, at)
	}
	return times
}
