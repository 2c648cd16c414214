package testproc

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Redis is a redis-server of a test. Its methods are for one goroutine.
type Redis struct {
	Addr string
	// Password and Args, further arguments, are set before Start.
	Password string
	Args     []string

	t        testing.TB
	program  string
	scheme   string // of the URL
	dir      string
	sentinel string // its configuration, if the server is a Sentinel
	cmd      *exec.Cmd
}

// NewRedis returns a server that does not run yet, and that ends with the test. Without the
// program redis-server the test is skipped, and fails in CI.
func NewRedis(t testing.TB) *Redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("redis-server is missing (Debian: redis-server)")
		}
		t.Skip("redis-server is not installed")
	}
	r := &Redis{Addr: FreeAddress(), t: t, program: program, scheme: "redis", dir: t.TempDir()}
	t.Cleanup(r.Stop)
	return r
}

// URL returns the URL of the server.
func (r *Redis) URL() string {
	u := url.URL{Scheme: r.scheme, Host: r.Addr}
	if r.Password != "" {
		u.User = url.UserPassword("default", r.Password)
	}
	return u.String()
}

// Start starts the server and waits until it listens.
func (r *Redis) Start() {
	r.t.Helper()
	host, port, _ := net.SplitHostPort(r.Addr)
	args := []string{"--bind", host, "--port", port, "--dir", r.dir, "--save", "", "--appendonly", "no", "--requirepass", r.Password}
	if r.sentinel != "" {
		args = []string{r.sentinel, "--sentinel"}
	}
	r.cmd = exec.Command(r.program, append(args, r.Args...)...)
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; {
		c, err := net.DialTimeout("tcp", r.Addr, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			r.t.Fatal("redis-server does not listen: ", err)
		}
		time.Sleep(5 * time.Millisecond) // polls a process
	}
}

// Replicate makes the server a replica of another one, when it starts.
func (r *Redis) Replicate(master *Redis) {
	host, port, _ := net.SplitHostPort(master.Addr)
	r.Args = []string{"--replicaof", host, port}
}

// StartSentinels starts Sentinels that watch the server under the name main, and returns them. More
// than half have to agree on its end, after 5 s without an answer. They end with the test.
func (r *Redis) StartSentinels(n int) []*Redis {
	r.t.Helper()
	all := make([]*Redis, n)
	for i := range all {
		s := NewRedis(r.t)
		host, port, _ := net.SplitHostPort(r.Addr)
		_, own, _ := net.SplitHostPort(s.Addr)
		s.sentinel = filepath.Join(s.dir, "sentinel.conf")
		text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsentinel monitor main %s %s %d\n"+
			"sentinel down-after-milliseconds main 5000\nsentinel failover-timeout main 5000\n", own, s.dir, host, port, n/2+1)
		if err := os.WriteFile(s.sentinel, []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
		s.Start()
		// By default a Sentinel that a loaded host has stopped for 2 s does nothing for 30 s. Servers before
		// Redis 7 have no such command.
		_ = exec.Command("redis-cli", "-p", own, "SENTINEL", "DEBUG", "tilt-trigger", "60000").Run()
		all[i] = s
	}
	return all
}

// Replicates reports whether the Sentinel knows a replica that is ready.
func (r *Redis) Replicates() bool {
	return strings.Contains(r.Do("SENTINEL", "REPLICAS", "main"), "master-link-status\nok")
}

// Stop kills the server if it runs.
func (r *Redis) Stop() {
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
	r.cmd = nil
}

// Signal sends a signal to the server.
func (r *Redis) Signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// Do does a command by redis-cli, and returns the answer.
func (r *Redis) Do(command ...string) string {
	r.t.Helper()
	host, port, _ := net.SplitHostPort(r.Addr)
	out, err := exec.Command("redis-cli", append([]string{"-e", "-h", host, "-p", port}, command...)...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("redis-cli %s: %v\n%s", strings.Join(command, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
