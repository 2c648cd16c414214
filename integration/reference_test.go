package integration_test

import (
	"os"
	"path/filepath"
	"testing"
)

// reference is where the original server, its client and the comparison are kept, if they are: beside the checkout. The
// project does not need them, so tests that do skip without them, in CI too.
func reference(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../shared/reference")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "aspnet")); err != nil {
		t.Skip("the original server is not beside the checkout: ", err)
	}
	return dir
}

// startOriginal starts the original's test hub. It ends with the test.
func startOriginal(t *testing.T, dir string) *server {
	t.Helper()
	return startServer(t, false, filepath.Join(dir, "aspnet"), "testhub")
}
