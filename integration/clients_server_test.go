package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// targetVariable names another server to run the scenarios against: a command to which --addr HOST:PORT is added, and
// which prints "listening". It serves to compare with the original ASP.NET Core server.
const targetVariable = "CARILLON_TEST_TARGET"

// How long a server may take to start or to end, before the test gives up.
const serverPatience = 30 * time.Second

// A server is a process under test. It can be ended and started again at the same address.
type server struct {
	command []string
	ours    bool
	addr    string

	cmd    *exec.Cmd
	output *output
	exited chan struct{}
	err    error // how it ended; to be read when exited is closed
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
	s := &server{command: command, ours: ours, addr: freeAddress(t)}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.terminate(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// build compiles a program of the module, with the race detector if the tests run under it.
func build(t *testing.T, pkg string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(pkg))
	args := []string{"build", "-o", binary}
	if underRace() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, pkg)...).CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return binary
}

func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return false
	}
	for _, setting := range info.Settings {
		if setting.Key == "-race" {
			return setting.Value == "true"
		}
	}
	return false
}

// freeAddress picks a loopback address whose port lies below those that the kernel gives to outgoing connections, so that
// none of them takes it while the server restarts.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func (s *server) url() string { return "http://" + s.addr }

// start runs the command and waits until it listens.
func (s *server) start() error {
	s.output = &output{awaited: "listening", seen: make(chan struct{})}
	s.cmd = exec.Command(s.command[0], slices.Concat(s.command[1:], []string{"--addr", s.addr})...)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	s.exited = exited
	go func() { // ends with the process, which terminate waits for
		s.err = s.cmd.Wait()
		close(exited)
	}()
	select {
	case <-s.output.seen:
		return nil
	case <-exited:
		return fmt.Errorf("the server ended at once: %w\n%s", s.err, s.output)
	case <-time.After(serverPatience):
		return errors.Join(fmt.Errorf("the server does not listen\n%s", s.output), s.terminate())
	}
}

// terminate asks the server to end, and waits. Ours has to end with success.
func (s *server) terminate() error {
	if !s.running() {
		return fmt.Errorf("the server ended by itself: %w\n%s", s.err, s.output)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(serverPatience):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return fmt.Errorf("the server does not end on SIGTERM\n%s", s.output)
	}
	if s.ours && s.err != nil {
		return fmt.Errorf("the server ended on SIGTERM with: %w\n%s", s.err, s.output)
	}
	return nil
}

func (s *server) running() bool {
	select {
	case <-s.exited:
		return false
	default:
		return true
	}
}

// revive starts the server again if it is down, and says so.
func (s *server) revive() error {
	if s.running() {
		return nil
	}
	return errors.Join(fmt.Errorf("the server was left down: %w\n%s", s.err, s.output), s.start())
}

// output keeps the end of what a process printed, and tells when an awaited text appeared. Safe for concurrent use.
type output struct {
	awaited string
	seen    chan struct{}

	mu   sync.Mutex
	text []byte
}

// As much as makes sense in the message of a failed test.
const outputLimit = 16 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if o.awaited != "" && bytes.Contains(o.text, []byte(o.awaited)) {
		o.awaited = ""
		close(o.seen)
	}
	if extra := len(o.text) - outputLimit; extra > 0 {
		o.text = o.text[extra:]
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
