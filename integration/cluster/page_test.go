//go:build linux

package cluster_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/carillon-go/carillon/internal/testproc"
)

// The commands of docs/scale-out.md work in their order, in one shell.
func TestCommandsOfThePage(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin") // where Debian has it
	if _, err := exec.LookPath("haproxy"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	page, err := os.ReadFile("../../docs/scale-out.md")
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile("../../deploy/haproxy/haproxy.cfg")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands", len(blocks))
	}
	address := testproc.FreeAddress()
	local := strings.NewReplacer("127.0.0.1:8080", address, "127.0.0.1:808", freeThree(), "127.0.0.1:830", freeThree())
	own := func(text []byte) string {
		return local.Replace(strings.Replace(patient(string(text)), "bind :8080", "bind 127.0.0.1:8080", 1))
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "deploy/haproxy"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "deploy/haproxy/haproxy.cfg"), []byte(own(config)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(build(t, "../../cmd/gateway"), filepath.Join(dir, "gateway")); err != nil {
		t.Fatal(err)
	}
	s := startShell(t, dir)
	always := func() bool { return true }
	for i, ready := range []func() bool{
		always,
		func() bool { return strings.Count(s.output.String(), "node up") >= nodeCount*(nodeCount-1) },
		func() bool { return listens(address) },
		always,
	} {
		// The doctor ends with 1 if messages are late, as on a busy machine.
		s.run(strings.ReplaceAll(own(blocks[i][1]), "/hubs/clock\n", "/hubs/clock || [ $? = 1 ]\n"), ready)
	}
}

// freeThree returns the beginning of three addresses that end in 1, 2 and 3.
func freeThree() (prefix string) {
	for {
		prefix = fmt.Sprint("127.0.0.1:", 2000+rand.IntN(1200))
		free := true
		for i := 1; i <= nodeCount; i++ {
			l, err := net.Listen("tcp", fmt.Sprint(prefix, i))
			if free = free && err == nil; err == nil {
				_ = l.Close()
			}
		}
		if free {
			return prefix
		}
	}
}

func listens(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// shell is a shell that ends with the test, as do the programs that it has started.
type shell struct {
	t      *testing.T
	stdin  io.Writer
	output *testproc.Output
	ran    int
}

func startShell(t *testing.T, dir string) *shell {
	t.Helper()
	s := &shell{t: t, output: &testproc.Output{}}
	cmd := exec.Command("bash", "-e")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = s.output, s.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.stdin = stdin
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Log(s.output)
		}
	})
	return s
}

// run runs commands. It waits until they have ended with success, except those in the background,
// and until ready reports true.
func (s *shell) run(commands string, ready func() bool) {
	s.t.Helper()
	s.ran++
	done := fmt.Sprint("block ", s.ran, " has run")
	if _, err := fmt.Fprintf(s.stdin, "%s\necho %s\n", commands, done); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, done, func() bool { return strings.Contains(s.output.String(), done) && ready() })
}
