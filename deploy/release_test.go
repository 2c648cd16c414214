package deploy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A tagged commit becomes an archive and a bill of materials, which have the version of the tag.
// Another clone in another folder, with other settings of Go and of the system, makes the same
// bytes.
func TestRelease(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the program twice")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("it runs the program for linux/amd64")
	}
	source := taggedClone(t, "## 1.2.3\n")
	first := release(t, source)
	const name = "carillon_1.2.3_linux_amd64"
	files := []string{name + ".tar.gz", name + ".cdx.json"}
	if names := checksums(t, first); !slices.Equal(names, files) {
		t.Errorf("%q, not %q", names, files)
	}
	checkProgram(t, read(t, first, files[0]), read(t, first, files[1]), name)

	again := filepath.Join(t.TempDir(), "another-folder")
	git(t, ".", "clone", "-q", source, again)
	second := release(t, again, "TZ=Asia/Tokyo", "GOFLAGS=-tags=other", "GOAMD64=v3", "GOOS=windows")
	for _, file := range files {
		if !bytes.Equal(read(t, first, file), read(t, second, file)) {
			t.Errorf("two builds of %s differ", file)
		}
	}
}

// A tag without a section in the changelog is refused.
func TestReleaseNeedsChangelog(t *testing.T) {
	t.Parallel()
	out, err := runRelease(t, taggedClone(t, "## 1.2.4\n"), t.TempDir())
	if err == nil || !strings.Contains(out, `no section "## 1.2.3"`) {
		t.Errorf("%v: %s", err, out)
	}
}

// taggedClone returns a clone of the repository with one more commit, which has the script of
// this folder, a text in the changelog and the tag v1.2.3.
func taggedClone(t *testing.T, changes string) (folder string) {
	t.Helper()
	find(t, "git")
	if _, err := os.Stat("../.git"); errors.Is(err, os.ErrNotExist) {
		t.Skip("the sources are not a git repository")
	}
	folder = filepath.Join(t.TempDir(), "source")
	git(t, ".", "clone", "-q", "..", folder)
	write(t, folder, "CHANGELOG.md", append(read(t, folder, "CHANGELOG.md"), changes...))
	write(t, folder, "deploy/release", read(t, ".", "release"))
	git(t, folder, "commit", "-qam", "release")
	git(t, folder, "tag", "v1.2.3")
	return folder
}

func git(t *testing.T, folder string, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", args...)
	command.Dir, command.Env = folder, gitEnv(t)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// gitEnv returns an environment in which git has no settings of the user, and reads a checkout
// of another user.
func gitEnv(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	write(t, folder, "config", []byte("[user]\nname = test\nemail = test@example.com\n[safe]\ndirectory = *\n[gc]\nauto = 0\n"))
	return append(os.Environ(), "GIT_CONFIG_GLOBAL="+filepath.Join(folder, "config"), "GIT_CONFIG_SYSTEM="+os.DevNull)
}

// release runs the script of a clone for linux/amd64 and returns the folder with its output.
func release(t *testing.T, source string, environment ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if out, err := runRelease(t, source, folder, environment...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return folder
}

func runRelease(t *testing.T, source, folder string, environment ...string) (out string, err error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(source, "deploy/release"), folder, "HEAD", "linux/amd64")
	command.Env = append(gitEnv(t), environment...)
	text, err := command.CombinedOutput()
	return string(text), err
}

// checksums checks all files in SHA256SUMS and returns their names.
func checksums(t *testing.T, folder string) (names []string) {
	t.Helper()
	for line := range strings.Lines(string(read(t, folder, "SHA256SUMS"))) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if actual := sha256.Sum256(read(t, folder, name)); hex.EncodeToString(actual[:]) != sum {
			t.Errorf("%s has another checksum", name)
		}
		names = append(names, name)
	}
	return names
}

// checkProgram checks an archive for this platform: its documents, the version, that the program
// needs no library of the system, and that the bill lists its modules.
func checkProgram(t *testing.T, archive, bill []byte, name string) {
	t.Helper()
	files := unpack(t, archive)
	for _, file := range []string{"LICENSE", "LICENSES-THIRD-PARTY", "README.md", "CHANGELOG.md", "SECURITY.md"} {
		if len(files[name+"/"+file]) == 0 {
			t.Errorf("the archive has no %s", file)
		}
	}
	program := files[name+"/gateway"]
	build, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	modules := []string{"std"}
	for _, module := range build.Deps {
		modules = append(modules, module.Path)
	}
	checkBill(t, bill, modules)
	binary, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if libraries, _ := binary.ImportedLibraries(); len(libraries) != 0 {
		t.Errorf("the program needs %q", libraries)
	}
	path := filepath.Join(t.TempDir(), "gateway")
	if err := os.WriteFile(path, program, 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), " v1.2.3 (revision ") || strings.Contains(string(out), "with changes") {
		t.Errorf("%v: %s", err, out)
	}
}

func checkBill(t *testing.T, text []byte, modules []string) {
	t.Helper()
	var bill struct {
		BOMFormat  string
		Metadata   struct{ Component struct{ Version string } }
		Components []struct{ Name string }
	}
	if err := json.Unmarshal(text, &bill); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, component := range bill.Components {
		names = append(names, component.Name)
	}
	slices.Sort(names)
	slices.Sort(modules)
	if bill.BOMFormat != "CycloneDX" || bill.Metadata.Component.Version != "v1.2.3" || !slices.Equal(names, modules) {
		t.Errorf("%s of version %q lists %q, not %q", bill.BOMFormat, bill.Metadata.Component.Version, names, modules)
	}
}

func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, folder, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, folder, name string, text []byte) {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
