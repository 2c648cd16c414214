package integration_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The checks take three minutes, most of which is waiting for time-outs on purpose.
const dotNetPatience = 8 * time.Minute

// TestDotNetClient runs the official .NET client's checks against the test hub, over HTTP and HTTPS, and against test hubs
// that it stops and kills.
func TestDotNetClient(t *testing.T) {
	dir := reference(t)
	tlsAddr := freeAddress(t)
	testHub := build(t, "./testhub")
	s := startServer(t, true, testHub, "--tls-addr", tlsAddr)
	ctx, cancel := context.WithTimeout(t.Context(), dotNetPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "aspnet"), "client", s.url(), "--tls", "https://"+tlsAddr,
		"--server-cmd", testHub+" -addr 127.0.0.1:{port}").CombinedOutput()
	passed := regexp.MustCompile(`(?m)^ok `).FindAll(out, -1)
	t.Logf("%d runs passed", len(passed))
	if err == nil {
		return
	}
	var failed strings.Builder
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "ok ") {
			failed.WriteString(line)
		}
	}
	t.Errorf("%v\n%s", err, failed.String())
}
