//go:build unix

package redis

import (
	"context"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/internal/testproc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take that must happen.
const patience = time.Minute

// server is a redis-server of a test.
type server struct {
	*testproc.Redis
	t *testing.T
}

// newServer returns a server that does not run yet.
func newServer(t *testing.T) *server {
	t.Helper()
	return &server{testproc.NewRedis(t), t}
}

// startServer returns a server that runs.
func startServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	s.Start()
	return s
}

func (s *server) freeze() { s.Signal(syscall.SIGSTOP) }
func (s *server) thaw()   { s.Signal(syscall.SIGCONT) }

// eventually waits until a condition holds.
func (s *server) eventually(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !holds(); {
		if time.Now().After(end) {
			s.t.Fatalf("not: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // polls a process
	}
}

// inbox is a receiver of a test.
type inbox struct {
	mu       sync.Mutex
	received []string // channel=payload
	degraded []bool
}

func (i *inbox) Receive(channel string, payload []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.received = append(i.received, channel+"="+string(payload))
}

func (i *inbox) Changed(degraded bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.degraded = append(i.degraded, degraded)
}

func (i *inbox) text() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return strings.Join(i.received, " ")
}

func (s *server) broker(o Options) *Broker {
	s.t.Helper()
	if o.URL == "" {
		o.URL = s.URL()
	}
	b, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(b.Close)
	return b
}

// publish publishes when the broker is connected: on a loaded host an attempt to connect may fail.
func publish(t *testing.T, b *Broker, payload string, channels ...string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	(&server{t: t}).connected(b)
	n, err := b.Publish(ctx, []byte(payload), channels...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// connected waits until brokers have subscribed everything.
func (s *server) connected(all ...*Broker) {
	s.t.Helper()
	for _, b := range all {
		s.eventually("the broker is connected", func() bool {
			state := b.State()
			return !state.Degraded && state.Subscribed == state.Wanted
		})
	}
}

// logger returns a logger that writes to log.
func logger(log *testproc.Output) *slog.Logger { return slog.New(slog.NewTextHandler(log, nil)) }

// losses returns the lines about losses, but those on a host so loaded that a second was too short
// for an answer.
func losses(log *testproc.Output) (lines []string) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "Redis unavailable") && !strings.Contains(line, errUnanswered.Error()) {
			lines = append(lines, line)
		}
	}
	return lines
}

// run runs another program until the end of the test, which shows its output if it fails.
func (s *server) run(command ...string) {
	s.t.Helper()
	var output testproc.Output
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("%s:\n%s", command[0], &output)
		}
	})
}

// subscribedToFrozen returns a broker that has subscribed the channel "a" of a server, which
// hangs now.
func subscribedToFrozen(t *testing.T, in *inbox) (*server, *Broker) {
	t.Helper()
	s := startServer(t)
	b := s.broker(Options{})
	if err := b.Subscribe(t.Context(), in, "a"); err != nil {
		t.Fatal(err)
	}
	s.freeze()
	t.Cleanup(s.thaw)
	return s, b
}
