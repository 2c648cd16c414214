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

// reference is a program of the original, ASP.NET Core SignalR itself: "aspnet11" is 11.0.0, "aspnet"
// is 10.0.12. They stand beside the repository where the project is developed, not in it.
func reference(t *testing.T, name string) (program string) {
	t.Helper()
	dir, err := filepath.Abs("../../shared/reference")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the original is not beside the checkout: %v", err)
	}
	program = filepath.Join(dir, name)
	if _, err := os.Stat(program); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return program
}

// original starts the test hub of ASP.NET Core 11.0.0.
func original(t *testing.T, args ...string) (url string) {
	t.Helper()
	return startServer(t, append([]string{reference(t, "aspnet11"), "testhub"}, args...)...)
}

// carillon builds and starts our own test hub server.
func carillon(t *testing.T, args ...string) (url string) {
	t.Helper()
	program, err := testproc.Build("../integration/testhub")
	if err != nil {
		t.Fatal(err)
	}
	return startServer(t, append([]string{program}, args...)...)
}
