package integration_test

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/internal/testproc"
)

// TestExamples opens the pages of the examples in headless Chromium. The chat has its bot.
func TestExamples(t *testing.T) {
	t.Parallel()
	r := clients.Start(t, "examples.js", "CHROMIUM="+clients.FindChromium(t))
	servers := map[string]*server{
		"chat":      startServer(t, true, build(t, "../examples/chat")),
		"dashboard": startServer(t, true, build(t, "../examples/dashboard"), "--interval", "100ms"),
	}
	startBot(t, servers["chat"].URL()+"/chat")
	for _, scenario := range r.Scenarios {
		test(t, r, "chromium", scenario, servers[scenario.Example], clients.Combination{})
	}
}

// startBot runs the bot of the chat until the end of the test.
func startBot(t *testing.T, url string) {
	t.Helper()
	var output testproc.Output
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, build(t, "../examples/chat/bot"), "--url", url)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("the bot printed:\n%s", &output)
		}
	})
}

// An example says that it listens when it does: not if its address is taken.
func TestExamplesListenBeforeTheySaySo(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, example := range []string{"chat", "dashboard"} {
		cmd := exec.CommandContext(t.Context(), build(t, "../examples/"+example), "--addr", l.Addr().String())
		if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "listening") || !strings.Contains(string(out), "in use") {
			t.Errorf("%s: %v: %s", example, err, out)
		}
	}
}
