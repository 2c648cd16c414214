package carillon_test

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

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
	binary, err := testproc.Build(t.TempDir(), source)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// serve runs a server until the test ends, and waits until it answers.
func serve(t *testing.T, addr, binary string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	cmd := exec.CommandContext(ctx, binary, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel() // kills it
		_ = cmd.Wait()
	})
	for {
		response, err := http.Post("http://"+addr+"/negotiate", "", nil)
		if err == nil {
			_ = response.Body.Close()
			return
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
	serve(t, addr, build(t, "./cmd/gateway"), "--addr", addr)
	script := strings.ReplaceAll(snippet(t, "js", 0), "localhost:8080", addr)
	if line := runScript(t, script); !strings.HasPrefix(line, "tick ") {
		t.Errorf("printed %q", line)
	}
}

func TestHub(t *testing.T) {
	node(t)
	addr := testproc.FreeAddress()
	main := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(main, []byte(strings.ReplaceAll(snippet(t, "go", 0), "localhost:8081", addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	serve(t, addr, build(t, main))
	script := `
import { HubConnectionBuilder } from "@microsoft/signalr";
const connection = new HubConnectionBuilder().withUrl("http://` + addr + `/").configureLogging("none").build();
let sum;
connection.on("Receive", (user, text) => console.log(user, text, sum));
await connection.start();
sum = await connection.invoke("Add", 20, 22);
await connection.invoke("Send", "Ada", "hello");
`
	if line := runScript(t, script); line != "Ada hello 42" {
		t.Errorf("printed %q", line)
	}
}
