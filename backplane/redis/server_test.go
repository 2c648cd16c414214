//go:build unix

package redis

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/internal/testproc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long anything may take that must happen.
const patience = 30 * time.Second

// server is a redis-server of a test.
type server struct {
	t       *testing.T
	addr    string
	program string
	dir     string
	cmd     *exec.Cmd
}

// newServer returns a server that does not run yet.
func newServer(t *testing.T) *server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing (Debian: redis-server)")
		}
		t.Skip("redis-server is not installed")
	}
	s := &server{t: t, addr: testproc.FreeAddress(), program: program, dir: t.TempDir()}
	t.Cleanup(s.stop)
	return s
}

// startServer returns a server that runs.
func startServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	s.start()
	return s
}

func (s *server) url() string { return "redis://" + s.addr }

func (s *server) start() {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command(s.program, "--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no", "--daemonize", "no")
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("redis-server listens", func() bool {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *server) stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

func (s *server) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) freeze() { s.signal(syscall.SIGSTOP) }
func (s *server) thaw()   { s.signal(syscall.SIGCONT) }

// do does a command on a connection of its own.
func (s *server) do(command ...string) string {
	s.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Do(s.t.Context(), c.B().Arbitrary(command...).Build()).ToMessage()
	if err != nil {
		s.t.Fatal(err)
	}
	return m.String()
}

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
		o.URL = s.url()
	}
	b, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(b.Close)
	return b
}

func publish(t *testing.T, b *Broker, payload string, channels ...string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n, err := b.Publish(ctx, []byte(payload), channels...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
