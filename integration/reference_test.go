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
	if _, err := os.Stat(filepath.Join(dir, "aspnet11")); err != nil {
		t.Skip("the original server is not beside the checkout: ", err)
	}
	return dir
}

// startOriginal starts the test hub of the original: "aspnet11" is ASP.NET Core 11.0.0, "aspnet" is 10.0.12. It ends with
// the test.
func startOriginal(t *testing.T, dir, program string) *server {
	t.Helper()
	return startServer(t, false, filepath.Join(dir, program), "testhub")
}
