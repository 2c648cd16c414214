package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

// A runner is a Node process that runs scenarios with the official client, one at a time, as they are ordered over its
// standard input (clients/orders.js says how).
type runner struct {
	in        *json.Encoder
	out       *json.Decoder
	stderr    *testproc.Output
	scenarios []scenario
}

// A scenario as the runner lists it; clients/scenarios/index.js says what the fields mean.
type scenario struct {
	Name    string
	Once    bool
	Only    string
	Ours    string
	Example string // the program of examples that it needs
}

// An order names a scenario and where to run it.
type order struct {
	Scenario  string `json:"scenario"`
	URL       string `json:"url"`
	Transport string `json:"transport"`
	Protocol  string `json:"protocol"`
}

// A reply is a line of the runner: the list, a wish, or the end of a scenario.
type reply struct {
	Scenarios []scenario
	Ask       string
	Done      bool
	Error     string
	Log       []string
}

// startRunner starts clients/script. The process ends with the test.
func startRunner(t *testing.T, script string, env ...string) *runner {
	t.Helper()
	return startCommand(t, func(ctx context.Context) *exec.Cmd { return nodeCommand(ctx, t, script, env...) })
}

// startCommand starts the command that is made with a context, which is a runner. The process ends with the test.
func startCommand(t *testing.T, command func(context.Context) *exec.Cmd) *runner {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	cmd := command(ctx)
	name := strings.Join(cmd.Args, " ")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{in: json.NewEncoder(in), out: json.NewDecoder(out), stderr: &testproc.Output{}}
	cmd.Stderr = r.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		in.Close() // the end of the orders
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, r.stderr)
		}
	})
	var first reply
	if err := r.out.Decode(&first); err != nil {
		t.Fatalf("%s does not start: %v\n%s", name, err, r.stderr)
	}
	r.scenarios = first.Scenarios
	return r
}

// nodeCommand is a command that runs a script of the folder clients.
func nodeCommand(ctx context.Context, t *testing.T, script string, env ...string) *exec.Cmd {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "Node is not installed")
	}
	if _, err := os.Stat(filepath.Join("clients", "node_modules")); err != nil {
		missing(t, "the clients are not installed: make clients")
	}
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Dir = "clients"
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that Chromium goes too
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// findChromium returns the path of the system's Chromium.
func findChromium(t *testing.T) string {
	t.Helper()
	path := testproc.FindChromium()
	if path == "" {
		missing(t, "Chromium is not installed")
	}
	return path
}

// missing skips the test for want of a tool; CI has to have all of them.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// test runs one scenario against the server as a subtest. The server is up again afterwards, whatever the scenario did to it.
func (r *runner) test(t *testing.T, name string, sc scenario, s *server, c combination) {
	t.Run(sc.Name, func(t *testing.T) {
		if sc.Only != "" && sc.Only != name {
			t.Skipf("only in %s", sc.Only)
		}
		if sc.Ours != "" && !s.ours {
			t.Skipf("the original differs: %s", sc.Ours)
		}
		end, err := r.run(order{sc.Name, s.URL(), c.transport, c.protocol}, s)
		if err != nil {
			t.Fatalf("the runner broke off: %v\n%s", err, r.stderr)
		}
		if end.Error != "" {
			t.Errorf("%s\n%s", end.Error, strings.Join(end.Log, "\n"))
		}
		if err := s.revive(); err != nil {
			t.Error(err)
		}
	})
}

func (r *runner) run(o order, s *server) (reply, error) {
	if err := r.in.Encode(o); err != nil {
		return reply{}, err
	}
	for {
		var answer reply
		if err := r.out.Decode(&answer); err != nil {
			return reply{}, err
		}
		if answer.Done {
			return answer, nil
		}
		if err := r.in.Encode(errorOf(s.do(answer.Ask))); err != nil {
			return reply{}, err
		}
	}
}

// errorOf is the answer to a wish of the runner.
func errorOf(err error) map[string]string {
	if err == nil {
		return map[string]string{}
	}
	return map[string]string{"error": err.Error()}
}

// do carries out what a scenario asks for.
func (s *server) do(what string) error {
	switch what {
	case "terminate":
		return s.terminate()
	case "start":
		return s.start()
	default:
		return fmt.Errorf("nobody knows how to %s: %w", what, errors.ErrUnsupported)
	}
}
