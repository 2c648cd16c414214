// Package middlebox starts the boxes that stand between clients and servers: reverse proxies
// in their distributions' default configuration and in common ones, forward proxies, and
// small boxes of our own that strip, swallow, hold or cut traffic as no package does on
// purpose. It is test support.
package middlebox

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Box is a running middlebox. It stops with the test that started it.
type Box struct {
	Name string
	// URL is the URL to which clients connect instead of the server's. For a forward proxy it
	// is the server's own.
	URL string
	// Proxy is the URL of a forward proxy. It is empty for a reverse proxy.
	Proxy string
}

// Kind is a middlebox that can be started.
type Kind struct {
	Name    string
	Forward bool
	TLS     bool
	// Program is the executable that must be installed. It is empty for our own boxes.
	Program string
	start   func(t *testing.T, b *builder)
}

// startTimeout is the time within which a box must listen.
const startTimeout = 20 * time.Second

// Start starts a box in front of upstream (HOST:PORT). Without its program the
// test is skipped, or fails under CI.
func (k Kind) Start(t *testing.T, upstream string) Box {
	t.Helper()
	b := &builder{port: freePort(t), upstream: upstream, server: "http://" + upstream, dir: scratch(t)}
	if k.Program != "" {
		b.program = find(t, k.Program)
	}
	k.start(t, b)
	address := "127.0.0.1:" + strconv.Itoa(b.port)
	box := Box{Name: k.Name, URL: "http://" + address}
	switch {
	case k.Forward:
		box.URL, box.Proxy = b.server, "http://"+address
	case k.TLS:
		box.URL = "https://" + address
	}
	b.awaitListening(t, address)
	return box
}

// builder holds the data with which a kind starts its box.
type builder struct {
	program  string
	port     int
	upstream string
	server   string // URL of the server for clients of a forward proxy
	dir      string
	command  *exec.Cmd
	output   lockedBuffer
	exited   chan struct{}
}

// scratch returns a folder that the unprivileged users of the boxes may enter.
func scratch(t *testing.T) string {
	dir, err := os.MkdirTemp("", "box") //nolint:usetesting // the folders above t.TempDir are closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // the boxes drop their privileges
		t.Fatal(err)
	}
	return dir
}

func find(t *testing.T, program string) string {
	t.Helper()
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if path := filepath.Join(dir, program); exec.Command("test", "-x", path).Run() == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
	return ""
}

// freePort returns a free port below the range of outgoing connections. A port in that range
// could be taken before the box binds it.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// write writes a configuration file into the box's folder. It replaces $PORT, $UP, $UPHOST,
// $UPPORT and $DIR.
func (b *builder) write(t *testing.T, name, text string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(b.upstream)
	text = strings.NewReplacer("$PORT", strconv.Itoa(b.port), "$UPHOST", host, "$UPPORT", port, "$UP", b.upstream, "$DIR", b.dir).Replace(text)
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // read by the boxes' users
		t.Fatal(err)
	}
	return path
}

// run starts the box's program in the foreground. The program is killed at the end of the
// test.
func (b *builder) run(t *testing.T, args ...string) {
	t.Helper()
	b.command = exec.Command(b.program, args...)
	b.command.Stdout, b.command.Stderr = &b.output, &b.output
	startGroup(b.command)
	if err := b.command.Start(); err != nil {
		t.Fatal(err)
	}
	b.exited = make(chan struct{})
	go func() { // ends with the process, which the cleanup kills
		defer close(b.exited)
		_ = b.command.Wait()
	}()
	t.Cleanup(func() {
		terminateGroup(b.command)
		select {
		case <-b.exited:
		case <-time.After(startTimeout):
			killGroup(b.command)
			<-b.exited
		}
	})
}

func (b *builder) awaitListening(t *testing.T, address string) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
			return
		}
		if b.exited == nil {
			t.Fatal(err) // our own boxes listen before they return
		}
		select {
		case <-b.exited:
			t.Fatalf("the box ended: %s", b.output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	t.Fatalf("the box does not listen: %s", b.output.String())
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Kinds returns all boxes, in the order of their documentation.
func Kinds() []Kind {
	var all []Kind
	for _, group := range [][]Kind{nginx(), haproxy(), apache(), varnish(), forward(), inspecting(), own()} {
		all = append(all, group...)
	}
	return all
}

// ByName returns the kind with a name.
func ByName(name string) (Kind, error) {
	for _, k := range Kinds() {
		if k.Name == name {
			return k, nil
		}
	}
	return Kind{}, fmt.Errorf("middlebox: there is no box %q", name)
}
