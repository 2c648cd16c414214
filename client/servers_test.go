package client

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/carillon-go/carillon/internal/testproc"
)

// startServer runs a program that serves spec'd test hubs until the test ends.
func startServer(t *testing.T, command ...string) (url string) {
	t.Helper()
	p, err := testproc.Start(testproc.FreeAddress(), command...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p.URL()
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
	return startServer(t, append([]string{program, "testhub"}, args...)...)
}

// carillon builds and starts our own test hub server.
func carillon(t *testing.T, args ...string) (url string) {
	t.Helper()
	program, err := testproc.Build(t.TempDir(), "../integration/testhub")
	if err != nil {
		t.Fatal(err)
	}
	return startServer(t, append([]string{program}, args...)...)
}
