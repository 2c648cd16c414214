package integration_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

// The checks take three minutes, most of which is waiting for time-outs on purpose.
const dotNetPatience = 8 * time.Minute

// TestDotNetClient runs the checks of the official .NET client against the test hub, over HTTP and HTTPS, and against test
// hubs that it stops and kills. The client of .NET 11 also refreshes the tokens of connections to the gateway.
func TestDotNetClient(t *testing.T) {
	dir := reference(t)
	testHub, gateway := build(t, "./testhub"), build(t, "../cmd/gateway")
	servers := []string{"--server-cmd", testHub + " -addr 127.0.0.1:{port}"}
	t.Run("10", func(t *testing.T) { checkDotNet(t, 472, testHub, filepath.Join(dir, "aspnet"), servers...) })
	servers = append(servers, "--gateway-cmd", gateway+" --addr 127.0.0.1:{port} --jwt-key {key}")
	t.Run("11", func(t *testing.T) { checkDotNet(t, 520, testHub, filepath.Join(dir, "aspnet11"), servers...) })
}

var (
	dotNetRun     = regexp.MustCompile(`(?m)^(ok|FAIL) `)
	dotNetFailure = regexp.MustCompile(`(?m)^FAIL ([\w-]+).*`)
)

// checkDotNet has a client make so many runs. What fails gets a second chance by itself: the checks have time limits of
// their own, and on a busy machine those of stateful reconnect fail against the original, too.
func checkDotNet(t *testing.T, runs int, testHub, client string, args ...string) {
	t.Helper()
	tlsAddr := testproc.FreeAddress()
	s := startServer(t, true, testHub, "--tls-addr", tlsAddr)
	args = append([]string{"client", s.URL(), "--tls", "https://" + tlsAddr}, args...)
	n, failed := runDotNet(t, client, args...)
	if n != runs {
		t.Errorf("%d runs, want %d", n, runs)
	}
	if len(failed) > 0 {
		_, failed = runDotNet(t, client, append(args, "--filter", strings.Join(failed, ","))...)
	}
	if len(failed) > 0 {
		t.Error("failed twice:", failed)
	}
}

// runDotNet returns how many runs there were, and which checks failed.
func runDotNet(t *testing.T, client string, args ...string) (runs int, failed []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), dotNetPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, client, args...).CombinedOutput()
	runs = len(dotNetRun.FindAll(out, -1))
	for _, match := range dotNetFailure.FindAllSubmatch(out, -1) {
		t.Logf("%s", match[0])
		failed = append(failed, string(match[1]))
	}
	t.Logf("%d of %d runs passed", runs-len(failed), runs)
	if err != nil && len(failed) == 0 {
		t.Fatalf("%v\n%s", err, out)
	}
	return runs, failed
}
