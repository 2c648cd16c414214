package clients

import (
	"context"
	"os/exec"
	"regexp"
	"testing"
	"time"
)

// The checks take three minutes, most of which is waiting for time-outs on purpose.
const dotNetPatience = 8 * time.Minute

var (
	dotNetRun     = regexp.MustCompile(`(?m)^(ok|FAIL) `)
	dotNetFailure = regexp.MustCompile(`(?m)^FAIL ([\w-]+).*`)
)

// RunDotNet runs the checks of a program that is the official .NET client. It returns how many runs there were, and which
// checks failed.
func RunDotNet(t *testing.T, client string, args ...string) (runs int, failed []string) {
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
