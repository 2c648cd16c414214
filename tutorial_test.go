package carillon_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/testproc"
)

// npmModules has the official client and the TypeScript compiler.
const npmModules = "integration/contract/node_modules"

// reader does what docs/tutorial.md says.
type reader struct {
	*testing.T
	root string // of this repository
	dir  string // of the chat
}

// TestTutorial writes the files of the tutorial and runs its commands in their order, in an
// empty directory. The tenth command serves the page. The result is examples/chat.
func TestTutorial(t *testing.T) {
	r := newReader(t)
	text, err := os.ReadFile("docs/tutorial.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^(?:\\*\\*`([^`\n]+)`\\*\\*\n\n)?```(\\w+)\n(.*?)^```$").FindAllSubmatch(text, -1)
	var commands []string
	for _, block := range blocks {
		name, content := string(block[1]), block[3]
		if name != "" {
			r.write(name, content)
			continue
		}
		for command := range strings.Lines(string(content)) {
			commands = append(commands, strings.TrimSpace(command))
			r.run(commands[len(commands)-1])
		}
	}
	if n := slices.Index(commands, "go run ."); n != 9 {
		t.Errorf("%d commands come before the page", n)
	}
	r.compare("examples/chat")
}

// newReader skips the test if the packages of npm are missing.
func newReader(t *testing.T) *reader {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(npmModules + "/typescript"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("needs Node and its packages (make clients): %v", err)
	}
	return &reader{T: t, root: root, dir: t.TempDir()}
}

func (r *reader) write(name string, content []byte) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		r.Fatal(err)
	}
}

// run runs a command. It takes the library from this repository and the packages of npm
// from the integration tests.
func (r *reader) run(command string) {
	r.Helper()
	switch {
	case strings.HasPrefix(command, "git clone "), strings.HasPrefix(command, "mkdir "):
	case command == "npm install":
		r.install()
	case command == "go run .":
		addr := testproc.FreeAddress()
		terminate(r.T, serve(r.T, nil, addr, r.build("."), "--addr", addr))
	case strings.HasPrefix(command, "go run "):
		r.build(strings.TrimPrefix(command, "go run "))
	default:
		r.execute("sh", "-c", strings.ReplaceAll(command, "../carillon", r.root))
	}
}

func (r *reader) execute(name string, args ...string) {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), name, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GOWORK=") // the one that the tutorial makes
	if out, err := cmd.CombinedOutput(); err != nil {
		r.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func (r *reader) build(pkg string) (binary string) {
	r.Helper()
	binary = filepath.Join(r.TempDir(), "program")
	r.execute("go", "build", "-o", binary, pkg)
	return binary
}

// install installs the packages of package.json, which have to be those of the integration tests.
func (r *reader) install() {
	r.Helper()
	var wanted struct{ DevDependencies map[string]string }
	readJSON(r.T, filepath.Join(r.dir, "package.json"), &wanted)
	for name, version := range wanted.DevDependencies {
		var have struct{ Version string }
		readJSON(r.T, filepath.Join(npmModules, name, "package.json"), &have)
		if have.Version != version {
			r.Errorf("the tutorial installs %s %s, the tests have %s", name, version, have.Version)
		}
	}
	if err := os.Symlink(filepath.Join(r.root, npmModules), filepath.Join(r.dir, "node_modules")); err != nil {
		r.Fatal(err)
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// compare fails the test if a file of an example is not the reader's, written or built. The
// example belongs to this module, and has the licence of the official client beside it.
func (r *reader) compare(example string) {
	r.Helper()
	own := strings.NewReplacer("github.com/carillon-go/carillon/"+example, "example.com/chat", " -modfile=../../../tools/gen.mod", "")
	err := filepath.WalkDir(example, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && d.Name() != "node_modules" || strings.HasSuffix(path, ".LICENSE.txt") {
			return err
		}
		if d.IsDir() {
			return fs.SkipDir
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		have, err := os.ReadFile(filepath.Join(r.dir, strings.TrimPrefix(path, example)))
		if err != nil || !bytes.Equal(have, []byte(own.Replace(string(want)))) {
			r.Errorf("%s differs from the result of the tutorial; %v", path, err)
		}
		return nil
	})
	if err != nil {
		r.Error(err)
	}
}
