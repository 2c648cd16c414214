package contract

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

// TestTypeScript compiles and lints the generated TypeScript and calls the methods
// through it by the official client, in Node and in Chromium.
func TestTypeScript(t *testing.T) {
	for _, folder := range []string{".", "../clients"} {
		if _, err := os.Stat(folder + "/node_modules/.package-lock.json"); err != nil {
			missing(t, "the packages are not installed: make clients")
		}
	}
	node(t, "node_modules/typescript/bin/tsc", "-p", ".")
	node(t, "node_modules/eslint/bin/eslint.js", ".")
	for _, module := range []string{"check.json.js", "check.messagepack.js", "check.clock.js"} {
		t.Run("node "+module, func(t *testing.T) { node(t, "runners/node.js", module, serve(t)) })
		t.Run("chromium "+module, func(t *testing.T) {
			chromium := testproc.FindChromium()
			if chromium == "" {
				missing(t, "Chromium is not installed")
			}
			t.Setenv("CHROMIUM", chromium)
			node(t, "runners/chromium.js", module, serve(t))
		})
	}
}

// missing skips the test for want of a tool; CI has to have all of them.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func node(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "node", args...).CombinedOutput(); err != nil {
		t.Errorf("node %v: %v\n%s", args, err, out)
	}
}
