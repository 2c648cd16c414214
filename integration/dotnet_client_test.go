package integration_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/internal/testproc"
)

// TestDotNetClient runs the checks of the official .NET client against the test hub, over HTTP and HTTPS, and against test
// hubs that it stops and kills. The client of .NET 11 also refreshes the tokens of connections to the gateway.
func TestDotNetClient(t *testing.T) {
	dir := reference(t)
	testHub, gateway := build(t, "./testhub"), build(t, "../cmd/gateway")
	servers := []string{"--server-cmd", testHub + " -addr 127.0.0.1:{port}"}
	t.Run("10", func(t *testing.T) {
		t.Parallel()
		checkDotNet(t, 472, testHub, filepath.Join(dir, "aspnet"), servers...)
	})
	withGateway := append(slices.Clone(servers), "--gateway-cmd", gateway+" --addr 127.0.0.1:{port} --jwt-key {key}")
	t.Run("11", func(t *testing.T) {
		t.Parallel()
		checkDotNet(t, 520, testHub, filepath.Join(dir, "aspnet11"), withGateway...)
	})
}

// checkDotNet has a client make so many runs. What fails gets a second chance by itself: the checks have time limits of
// their own, and on a busy machine those of stateful reconnect fail against the original, too.
func checkDotNet(t *testing.T, runs int, testHub, client string, args ...string) {
	t.Helper()
	tlsAddr := testproc.FreeAddress()
	s := startServer(t, true, testHub, "--tls-addr", tlsAddr)
	args = append([]string{"client", s.URL(), "--tls", "https://" + tlsAddr}, args...)
	n, failed := clients.RunDotNet(t, client, args...)
	if n != runs {
		t.Errorf("%d runs, want %d", n, runs)
	}
	if len(failed) > 0 {
		_, failed = clients.RunDotNet(t, client, append(args, "--filter", strings.Join(failed, ","))...)
	}
	if len(failed) > 0 {
		t.Error("failed twice:", failed)
	}
}
