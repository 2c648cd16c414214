package golden

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/internal/testproc"
)

// targetVariable names another server: http://host:port of one that runs, or a command to which --addr host:port is added
// and which prints "listening". A command is taken for the original, so the left-out cases run as well.
const targetVariable = "CARILLON_TEST_TARGET"

func target() string { return os.Getenv(targetVariable) }

// running tells whether the target is a server that somebody else started.
func running() bool { return strings.HasPrefix(target(), "http://") }

// ours tells whether the server is the test hub of this repository, started here.
func ours() bool { return target() == "" }

// shared is the server that all tests but those of its end use, until the package's tests are over.
var shared struct {
	once sync.Once
	*testproc.Process
	err error
}

// serverURL starts the shared server if need be.
func serverURL(t *testing.T) string {
	t.Helper()
	if running() {
		return target()
	}
	shared.once.Do(func() { shared.Process, shared.err = startServer() })
	if shared.err != nil {
		unavailable(t, shared.err)
	}
	return shared.URL()
}

// unavailable skips for want of a server to test; CI has to have it.
func unavailable(t *testing.T, why error) {
	t.Helper()
	if os.Getenv("CI") == "true" || !errors.Is(why, errNoTestHub) {
		t.Fatal(why)
	}
	t.Skip(why)
}

var errNoTestHub = errors.New("integration/testhub is not there")

// command is the server's, without its address.
var command = sync.OnceValues(func() ([]string, error) {
	if !ours() {
		return strings.Fields(target()), nil
	}
	if _, err := os.Stat("../testhub"); err != nil {
		return nil, errNoTestHub
	}
	binary, err := testproc.Build("../testhub")
	return []string{binary}, err
})

// startServer starts a server at a free address and waits until it listens.
func startServer() (*testproc.Process, error) {
	args, err := command()
	if err != nil {
		return nil, err
	}
	return testproc.Start(testproc.FreeAddress(), args...)
}
