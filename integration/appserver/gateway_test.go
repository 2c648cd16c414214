//go:build linux

package appserver_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/testproc"
)

// hubNames are the hubs of the applications under test, as the SDK names them: by their types.
var hubNames = []string{
	"testhub", "authorizedhub", "uncreatablehub", "clockhub", "componenthub",
	"labhub", "labdefaults", "labplain", "labfast", "labparallel", "labsmall", "labauth", "labonconnect",
}

// gateway is the program, which holds the clients of applications.
type gateway struct {
	*testproc.Process
	key    string
	cmd    []string
	public string // URL for clients, if they do not connect to the program itself
}

// startGateway starts the program with hubs whose clients applications answer. It ends with the test.
func startGateway(t *testing.T, args ...string) *gateway {
	t.Helper()
	binary, err := testproc.Build("../../cmd/gateway")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{key: accesskey.New()}
	var file strings.Builder
	file.WriteString("hubs:\n")
	for _, name := range hubNames {
		fmt.Fprintf(&file, "  %s:\n    servers: {}\n", name)
	}
	g.cmd = append([]string{binary, "--config", g.write(t, "hubs.yaml", file.String()), "--access-key-file", g.write(t, "keys", g.key)}, args...)
	g.start(t, testproc.FreeAddress())
	t.Cleanup(func() {
		if err := g.End(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the gateway said: %s", tail(g.Output.String()))
		}
	})
	return g
}

func (g *gateway) start(t *testing.T, addr string) {
	t.Helper()
	var err error
	if g.Process, err = testproc.Start(addr, g.cmd...); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tail returns the end of a text.
func tail(s string) string { return s[max(0, len(s)-8000):] }

// application starts an application whose clients the program holds.
func (g *gateway) application(t *testing.T, program, role string, args ...string) *application {
	t.Helper()
	url := g.URL()
	if g.public != "" {
		url += ";ClientEndpoint=" + g.public
	}
	return startApplication(t, url, g.key, program, role, args...)
}
