package integration_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/testproc"
)

// targetVariable names another server to run the scenarios against: a command to which --addr HOST:PORT is added, and
// which prints "listening". It serves to compare with the original ASP.NET Core server.
const targetVariable = "CARILLON_TEST_TARGET"

// A server is a process under test. It can be ended and started again at the same address.
type server struct {
	*testproc.Process
	command []string
	ours    bool
}

// startTestHub builds and starts the test hub, or what targetVariable names. It ends with the test.
func startTestHub(t *testing.T) *server {
	t.Helper()
	if target := os.Getenv(targetVariable); target != "" {
		return startServer(t, false, strings.Fields(target)...)
	}
	return startServer(t, true, build(t, "./testhub"))
}

func startServer(t *testing.T, ours bool, command ...string) *server {
	t.Helper()
	return startServerAt(t, testproc.FreeAddress(), ours, command...)
}

func startServerAt(t *testing.T, addr string, ours bool, command ...string) *server {
	t.Helper()
	p, err := testproc.Start(addr, command...)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{p, command, ours}
	t.Cleanup(func() {
		if err := s.terminate(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func build(t *testing.T, pkg string) (binary string) {
	t.Helper()
	binary, err := testproc.Build(pkg)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// terminate asks the server to end, and waits. Ours has to end with success.
func (s *server) terminate() error {
	if !s.Running() {
		return fmt.Errorf("the server ended by itself: %w", s.Wait())
	}
	err := s.End()
	if exit := (*exec.ExitError)(nil); !s.ours && errors.As(err, &exit) {
		return nil
	}
	return err
}

// start starts a server that has ended again.
func (s *server) start() error {
	p, err := testproc.Start(s.Addr, s.command...)
	if err == nil {
		s.Process = p
	}
	return err
}

// revive starts the server again if it is down, and says so.
func (s *server) revive() error {
	if s.Running() {
		return nil
	}
	return errors.Join(fmt.Errorf("the server was left down: %w", s.Wait()), s.start())
}
