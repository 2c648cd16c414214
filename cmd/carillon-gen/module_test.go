package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// newModule makes a module that uses the library of this repository, with the files of an
// archive, and returns its folder.
func newModule(t testing.TB, archive string) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	modfile, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	modfile = bytes.Replace(modfile, []byte("module github.com/carillon-go/carillon\n"), []byte("module x\n"), 1)
	modfile = append(modfile, "\nrequire github.com/carillon-go/carillon v0.0.0\nreplace github.com/carillon-go/carillon => "+root+"\n"...)
	writeFile(t, filepath.Join(dir, "go.mod"), modfile)
	writeFile(t, filepath.Join(dir, "go.sum"), sums)
	unpack(t, dir, archive)
	return dir
}

// unpack writes the files of an archive into a folder.
func unpack(t testing.TB, dir, archive string) {
	t.Helper()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		writeFile(t, filepath.Join(dir, f.Name), f.Data)
	}
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// goBuild compiles all packages of a module, and returns the compiler's errors.
func goBuild(t testing.TB, dir string) (errors string) {
	t.Helper()
	cmd := exec.Command("go", "build", "./...")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(out), ".go:") {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return string(out)
}

// generateIn generates ./folder of a module from the interfaces Hub and Client, or others,
// and returns the warnings.
func generateIn(t testing.TB, dir, hub, client string) (warnings []string) {
	t.Helper()
	warnings, err := run(settings{dir: dir, hub: hub, client: client, typescript: strings.ToLower(hub) + ".ts", protocol: jsonProtocol})
	if err != nil {
		t.Fatal(err)
	}
	return warnings
}
