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

// TestDotNetClient runs the official .NET client's checks against the test hub, over HTTP and HTTPS, and against test hubs
// that it stops and kills. What fails gets a second chance by itself: the checks have time limits of their own, and on a busy
// machine those of stateful reconnect fail against the original, too.
func TestDotNetClient(t *testing.T) {
	dir := reference(t)
	tlsAddr := testproc.FreeAddress()
	testHub := build(t, "./testhub")
	s := startServer(t, true, testHub, "--tls-addr", tlsAddr)
	check := func(more ...string) (failed []string) {
		ctx, cancel := context.WithTimeout(t.Context(), dotNetPatience)
		defer cancel()
		args := append([]string{"client", s.URL(), "--tls", "https://" + tlsAddr, "--server-cmd", testHub + " -addr 127.0.0.1:{port}"}, more...)
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "aspnet"), args...).CombinedOutput()
		t.Logf("%d runs passed", len(regexp.MustCompile(`(?m)^ok `).FindAll(out, -1)))
		if err == nil {
			return nil
		}
		for _, match := range regexp.MustCompile(`(?m)^FAIL ([\w-]+).*`).FindAllSubmatch(out, -1) {
			t.Logf("%s", match[0])
			failed = append(failed, string(match[1]))
		}
		if len(failed) == 0 {
			t.Fatalf("%v\n%s", err, out)
		}
		return failed
	}
	failed := check()
	if len(failed) > 0 {
		failed = check("--filter", strings.Join(failed, ","))
	}
	if len(failed) > 0 {
		t.Error("failed twice:", failed)
	}
}
