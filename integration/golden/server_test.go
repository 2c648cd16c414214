package golden

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
	*process
	err error
}

// serverURL starts the shared server if need be.
func serverURL(t *testing.T) string {
	t.Helper()
	if running() {
		return target()
	}
	shared.once.Do(func() { shared.process, shared.err = startServer() })
	if shared.err != nil {
		unavailable(t, shared.err)
	}
	return shared.url()
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

// buildDir holds the test hub if it was built; TestMain removes it.
var buildDir string

// command is the server's, without its address.
var command = sync.OnceValues(func() ([]string, error) {
	if !ours() {
		return strings.Fields(target()), nil
	}
	if _, err := os.Stat("../testhub"); err != nil {
		return nil, errNoTestHub
	}
	var err error
	if buildDir, err = os.MkdirTemp("", "testhub"); err != nil {
		return nil, err
	}
	binary := filepath.Join(buildDir, "testhub")
	args := []string{"build", "-o", binary}
	if underRace() {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "../testhub")...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build ../testhub: %w\n%s", err, out)
	}
	return []string{binary}, nil
})

func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "-race" && s.Value == "true"
	})
}

// A process is a server under test.
type process struct {
	addr   string
	cmd    *exec.Cmd
	output output
	asked  bool
	exited chan struct{} // closed when it has ended
	err    error         // how; to be read then
}

// startServer starts a server at a free address and waits until it listens.
func startServer() (*process, error) {
	args, err := command()
	if err != nil {
		return nil, err
	}
	p := &process{addr: freeAddress(), exited: make(chan struct{})}
	p.output.listening = make(chan struct{})
	p.cmd = exec.Command(args[0], slices.Concat(args[1:], []string{"--addr", p.addr})...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process, which end waits for
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	select {
	case <-p.output.listening:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("the server ended at once: %w\n%s", p.err, &p.output)
	case <-time.After(patience):
		return nil, errors.Join(fmt.Errorf("the server does not listen\n%s", &p.output), p.end())
	}
}

func (p *process) url() string { return "http://" + p.addr }

// terminate asks the server to end, once: a second signal may kill it.
func (p *process) terminate() error {
	if p.asked {
		return nil
	}
	p.asked = true
	return p.cmd.Process.Signal(syscall.SIGTERM)
}

// end asks the server to end and waits for it; it has to end well.
func (p *process) end() error {
	if err := p.terminate(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
	case <-time.After(2 * patience):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("the server does not end\n%s", &p.output)
	}
	if p.err != nil {
		return fmt.Errorf("the server ended with: %w\n%s", p.err, &p.output)
	}
	return nil
}

// freeAddress picks a loopback address whose port lies below those that the kernel gives to outgoing connections.
func freeAddress() string {
	for {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000)))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
}

// output keeps the end of what a process printed, and tells when it listens. Safe for concurrent use.
type output struct {
	listening chan struct{}

	mu    sync.Mutex
	text  []byte
	known bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if !o.known && bytes.Contains(o.text, []byte("listening")) {
		o.known = true
		close(o.listening)
	}
	if extra := len(o.text) - 16<<10; extra > 0 {
		o.text = o.text[extra:]
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
