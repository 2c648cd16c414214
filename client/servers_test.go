package client

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startServer runs a program that serves spec'd test hubs at an address of its own and prints a line
// when it does; the test's end stops it.
func startServer(t *testing.T, name string, args ...string) (url string) {
	t.Helper()
	address := freeAddress(t)
	cmd := exec.CommandContext(t.Context(), name, append(args, "-addr", address)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("%s ended before it listened: %v", name, err)
		}
		if strings.Contains(line, "listening") {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return "http://" + address
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// original starts ASP.NET Core SignalR itself, which stands beside the repository where the project
// is developed, not in it.
func original(t *testing.T, args ...string) (url string) {
	t.Helper()
	program, err := filepath.Abs("../../shared/reference/aspnet")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Skipf("the reference server is not here: %v", err)
	}
	return startServer(t, program, append([]string{"testhub"}, args...)...)
}

// carillon builds and starts our own test hub server.
func carillon(t *testing.T, args ...string) (url string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "testhub")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../integration/testhub")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the test hub: %v\n%s", err, out)
	}
	return startServer(t, program, args...)
}
