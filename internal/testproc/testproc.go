// Package testproc runs servers in processes of their own, for tests.
package testproc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a server may take to start or to end.
const patience = 2 * time.Minute

// Build compiles a program of the module, with the race detector if the tests run under it. The
// binary is in Go's build cache, where packages of tests share it: linking takes seconds.
func Build(pkg string) (binary string, err error) {
	args := []string{"run", "-exec", "echo"}
	if underRace() {
		args = append(args, "-race")
	}
	for range 2 { // a binary is in the cache only when the go run that has linked it is over
		out, err := exec.Command("go", append(args, pkg)...).Output()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, exit.Stderr)
		} else if err != nil {
			return "", err
		}
		binary = strings.TrimSpace(string(out))
		if _, err := os.Stat(binary); err == nil {
			return binary, nil
		}
	}
	return "", fmt.Errorf("go run %s: %s is not in the build cache", pkg, binary)
}

func underRace() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// FreeAddress returns a loopback address with a port below the kernel's range for outgoing
// connections, so that no connection takes the port while a server restarts. No other call of any
// process returns the address while this process runs: it keeps the UDP port with the same number.
func FreeAddress() string {
	for {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(20_000+rand.IntN(12_000)))
		kept, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			reserve(kept)
			return addr
		}
		_ = kept.Close()
	}
}

var (
	reservedMu sync.Mutex
	reserved   []net.PacketConn
)

// reserve keeps a port until the process ends. One that is garbage would be closed.
func reserve(port net.PacketConn) {
	reservedMu.Lock()
	defer reservedMu.Unlock()
	reserved = append(reserved, port)
}

// FindChromium returns the path of the system's Chromium; empty: it is not installed. One
// without the user interface loads a page in a sixth of the processor time.
func FindChromium() string {
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Process is a server under test. Its methods are for one goroutine.
type Process struct {
	Addr   string
	Output Output

	cmd    *exec.Cmd
	asked  bool // Terminate was called
	exited chan struct{}
	err    error // of Wait; valid after exited is closed
}

// Start runs a command, to which --addr and the address are added, and waits until it
// prints "listening".
func Start(addr string, command ...string) (*Process, error) {
	p := &Process{Addr: addr, exited: make(chan struct{})}
	listening := p.Output.await("listening")
	p.cmd = exec.Command(command[0], slices.Concat(command[1:], []string{"--addr", addr})...)
	p.cmd.Stdout, p.cmd.Stderr = &p.Output, &p.Output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process, which Wait waits for
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	select {
	case <-listening:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("the server ended at once: %w\n%s", p.err, &p.Output)
	case <-time.After(patience):
		return nil, errors.Join(fmt.Errorf("the server does not listen\n%s", &p.Output), p.End())
	}
}

// URL of the server.
func (p *Process) URL() string { return "http://" + p.Addr }

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running reports whether the process still runs.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Terminate asks the process to end.
func (p *Process) Terminate() error {
	p.asked = true
	return p.cmd.Process.Signal(syscall.SIGTERM)
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Wait waits for the end of a process that was asked for it. The error is an
// exec.ExitError unless it had to be killed.
func (p *Process) Wait() error {
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.Kill()
		return fmt.Errorf("the server does not end\n%s", &p.Output)
	}
	if p.err != nil {
		return fmt.Errorf("the server ended with: %w\n%s", p.err, &p.Output)
	}
	return nil
}

// End asks the process to end, unless it was asked before or has ended by itself, and waits
// for it.
func (p *Process) End() error {
	if !p.asked && p.Running() {
		_ = p.Terminate() // it ends at this moment if that fails
	}
	return p.Wait()
}

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails if it has ended
	<-p.exited
}
