//go:build unix

package integration_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/internal/testproc"
)

// TestQuickStart writes the files of the beginning of docs/gateway.md, runs its commands, and opens its page. Only the ports
// are others.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	r := clients.Start(t, "quickstart.js", "CHROMIUM="+clients.FindChromium(t))
	for _, program := range []string{"python3", "curl"} {
		if _, err := exec.LookPath(program); err != nil {
			clients.Missing(t, err.Error())
		}
	}
	page, gateway := localAddress(), localAddress()
	q := &quickStart{t, t.TempDir(), build(t, "../cmd/gateway")}
	commands := q.write(strings.NewReplacer("8080", portOf(gateway), "9000", portOf(page)))
	if len(commands) != 2 {
		t.Fatalf("%d blocks have commands", len(commands))
	}
	q.start(commands[0])
	awaitListener(t, page)
	awaitListener(t, gateway)
	end, err := r.Run(clients.Order{Scenario: "quick start", URL: "http://" + page}, func(string) error {
		out, err := q.command(t.Context(), commands[1]).CombinedOutput()
		t.Logf("%s", out)
		return err
	})
	if err != nil || end.Error != "" {
		t.Errorf("%v %s\n%s", err, end.Error, strings.Join(end.Log, "\n"))
	}
}

type quickStart struct {
	t       *testing.T
	dir     string
	gateway string // the program
}

// write writes the files and returns the blocks with commands.
func (q *quickStart) write(ports *strings.Replacer) (commands []string) {
	q.t.Helper()
	text, err := os.ReadFile("../docs/gateway.md")
	if err != nil {
		q.t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## A message in a browser\n")
	part, _, _ = strings.Cut(part, "\n## ")
	for _, block := range regexp.MustCompile("(?ms)^(?:\\*\\*`([^`\n]+)`\\*\\*\n\n)?```\\w+\n(.*?)^```$").FindAllStringSubmatch(part, -1) {
		name, content := block[1], ports.Replace(block[2])
		if name == "" {
			commands = append(commands, content)
			continue
		}
		path := filepath.Join(q.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			q.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			q.t.Fatal(err)
		}
	}
	return commands
}

// command returns a shell that runs commands.
func (q *quickStart) command(ctx context.Context, commands string) *exec.Cmd {
	function := "gateway() { '" + q.gateway + "' \"$@\"; }\n"
	cmd := exec.CommandContext(ctx, "sh", "-ec", function+commands)
	cmd.Dir = q.dir
	return cmd
}

// start runs commands that leave programs behind, which end with the test.
func (q *quickStart) start(commands string) {
	q.t.Helper()
	var output testproc.Output
	cmd := q.command(context.Background(), commands+"wait\n")
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		q.t.Fatal(err)
	}
	q.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if q.t.Failed() {
			q.t.Log(output.String())
		}
	})
}
