// Package clients runs scenarios with the clients of this folder, and with other ones that take the same orders. It is test
// support.
package clients

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

// Runner is a process that runs scenarios, one at a time, as they are ordered over its standard input (orders.js has the
// protocol).
type Runner struct {
	In        *json.Encoder
	Out       *json.Decoder
	Stderr    *testproc.Output
	Scenarios []Scenario
}

// Scenario is an entry of a runner's list; scenarios/index.js explains the fields.
type Scenario struct {
	Name    string
	Once    bool
	Only    string
	Ours    string
	Example string // the program of examples that it needs
}

// Order names a scenario and where to run it.
type Order struct {
	Scenario  string `json:"scenario"`
	URL       string `json:"url"`
	Transport string `json:"transport"`
	Protocol  string `json:"protocol"`
}

// Reply is a line of the runner: the list, a wish, or the end of a scenario.
type Reply struct {
	Scenarios []Scenario
	Ask       string
	Done      bool
	Error     string
	Log       []string
}

// Combination is a way in which the official client can talk to a hub.
type Combination struct{ Transport, Protocol string }

// Combinations returns all of them. Event streams carry text only, so there is no MessagePack on them.
func Combinations() []Combination {
	return []Combination{
		{"WebSockets", "json"},
		{"WebSockets", "messagepack"},
		{"ServerSentEvents", "json"},
		{"LongPolling", "json"},
		{"LongPolling", "messagepack"},
	}
}

func (c Combination) String() string { return c.Transport + " " + c.Protocol }

// Start starts a script of this folder, which is a runner. The process ends with the test.
func Start(t *testing.T, script string, env ...string) *Runner {
	t.Helper()
	return StartCommand(t, func(ctx context.Context) *exec.Cmd { return Node(ctx, t, script, env...) })
}

// StartCommand starts the command that is made with a context, which is a runner. The process ends with the test.
func StartCommand(t *testing.T, command func(context.Context) *exec.Cmd) *Runner {
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
	r := &Runner{In: json.NewEncoder(in), Out: json.NewDecoder(out), Stderr: &testproc.Output{}}
	cmd.Stderr = r.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		in.Close() // the end of the orders
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, r.Stderr)
		}
	})
	var first Reply
	if err := r.Out.Decode(&first); err != nil {
		t.Fatalf("%s does not start: %v\n%s", name, err, r.Stderr)
	}
	r.Scenarios = first.Scenarios
	return r
}

// Node returns a command that runs a script of this folder.
func Node(ctx context.Context, t *testing.T, script string, env ...string) *exec.Cmd {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		Missing(t, "Node is not installed")
	}
	if _, err := os.Stat(filepath.Join(folder(), "node_modules")); err != nil {
		Missing(t, "the clients are not installed: make clients")
	}
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Dir = folder()
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that Chromium goes too
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// folder returns the path of this folder.
func folder() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

// FindChromium returns the path of the system's Chromium.
func FindChromium(t *testing.T) string {
	t.Helper()
	path := testproc.FindChromium()
	if path == "" {
		Missing(t, "Chromium is not installed")
	}
	return path
}

// Missing skips the test for want of a tool; CI has to have all of them.
func Missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Run runs one scenario. The scenario asks for steps, and do carries them out.
func (r *Runner) Run(o Order, do func(what string) error) (Reply, error) {
	if err := r.In.Encode(o); err != nil {
		return Reply{}, err
	}
	for {
		var answer Reply
		if err := r.Out.Decode(&answer); err != nil {
			return Reply{}, err
		}
		if answer.Done {
			return answer, nil
		}
		if err := r.In.Encode(errorOf(do(answer.Ask))); err != nil {
			return Reply{}, err
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
