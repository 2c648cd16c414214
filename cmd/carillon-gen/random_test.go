package main

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var (
	randomPackages = flag.Int("random", 4, "number of random packages to generate, compile and run")
	randomSeed     = flag.Uint64("random.seed", 1, "seed of the random packages")
)

// TestRandomInterfaces generates from random pairs of interfaces, compiles the Go and the
// TypeScript, and has values of all types go to the hub and back by both clients and both
// protocols.
func TestRandomInterfaces(t *testing.T) {
	modules, err := filepath.Abs("../../integration/contract/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the packages are not installed: make clients")
		}
		t.Skip("the packages are not installed: make clients")
	}
	const most = 50 // packages in a module
	for first := 0; first < *randomPackages; first += most {
		t.Run(fmt.Sprint("from ", first), func(t *testing.T) {
			checkRandom(t, modules, first, min(most, *randomPackages-first))
		})
	}
}

func checkRandom(t *testing.T, modules string, first, n int) {
	t.Helper()
	dir := newModule(t, "")
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "drive"), os.DirFS("testdata/drive")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "package.json"), []byte(`{ "type": "module" }`))
	writeFile(t, filepath.Join(dir, "tsconfig.json"), []byte(`{ "compilerOptions": { "target": "ES2022", "module": "NodeNext", "strict": true,
		"noUnusedLocals": true, "noUnusedParameters": true, "skipLibCheck": true, "types": [], "lib": ["ES2022", "DOM"], "outDir": "out", "rootDir": "." } }`))
	imports, list := "", ""
	checks := []string{}
	var work sync.WaitGroup
	free := make(chan struct{}, 4)
	for i := first; i < first+n; i++ {
		p := newRandomPackage(fmt.Sprintf("p%03d", i), rand.New(rand.NewPCG(*randomSeed, uint64(i))))
		unpack(t, dir, p.archive())
		work.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			if err := generateBoth(filepath.Join(dir, p.name)); err != nil {
				t.Errorf("%s: %v\n%s", p.name, err, p.archive())
			}
		})
		imports += fmt.Sprintf("\t%q\n", "x/"+p.name)
		list += fmt.Sprintf("\t\t{%q, %s.Serve, %s.Check},\n", p.name, p.name, p.name)
		checks = append(checks, "../out/"+p.name+"/check.json.js", "../out/"+p.name+"/check.messagepack.js")
	}
	work.Wait()
	writeFile(t, filepath.Join(dir, "main.go"), []byte("package main\n\nimport (\n\t\"x/drive\"\n"+imports+")\n\nfunc main() {\n\tdrive.Main(\".\", []drive.Package{\n"+list+"\t})\n}\n"))
	if out := goBuild(t, dir); out != "" {
		t.Fatal(out)
	}
	origin := serveRandom(t, dir)
	if out, err := nodeIn(dir, "node_modules/typescript/bin/tsc", "-p", "."); err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
	if out, err := nodeIn(dir, append([]string{"drive/run.js", origin}, checks...)...); err != nil {
		t.Fatalf("node: %v\n%s", err, out)
	}
}

// generateBoth generates from Hub and Client, with TypeScript for both protocols.
func generateBoth(dir string) error {
	s := settings{dir: dir, hub: "Hub", client: "Client"}
	c, err := load(s)
	if err != nil {
		return err
	}
	for _, s.protocol = range []string{jsonProtocol, messagePack} {
		s.typescript = s.protocol + ".ts"
		files, err := generate(s, c)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := os.WriteFile(f.path, f.content, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func nodeIn(dir string, args ...string) (string, error) {
	cmd := exec.Command("node", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// serveRandom runs the module's program, which checks the packages in Go and serves them
// until the end of the test. It returns the origin.
func serveRandom(t *testing.T, dir string) (origin string) {
	t.Helper()
	cmd := exec.Command("go", "run", ".")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	var lines []string
	for s := bufio.NewScanner(out); s.Scan(); {
		if strings.HasPrefix(s.Text(), "http://") {
			return s.Text()
		}
		lines = append(lines, s.Text())
	}
	t.Fatal(strings.Join(lines, "\n"))
	return ""
}

// TestOutputIsDeterministic: two runs make the same files, though files are parsed
// concurrently and maps have no order.
func TestOutputIsDeterministic(t *testing.T) {
	p := newRandomPackage("p", rand.New(rand.NewPCG(*randomSeed, 1)))
	var before string
	for range 3 {
		dir := newModule(t, p.archive())
		if err := generateBoth(filepath.Join(dir, p.name)); err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, file := range []string{"hub_gen.go", "hub.contract.json", "json.ts", "messagepack.ts"} {
			all += readFile(t, filepath.Join(dir, p.name, file))
		}
		if before != "" && all != before {
			t.Errorf("first:\n%s\nthen:\n%s", before, all)
		}
		before = all
	}
}

// BenchmarkGenerate generates all files of a contract that is generated already.
func BenchmarkGenerate(b *testing.B) {
	for name, s := range map[string]settings{
		"clock": {dir: "../../clock", hub: "ClockHub", client: "Clock", typescript: "../integration/contract/clockhub.ts"},
		"chat":  {dir: "../../integration/contract", hub: "ChatHub", client: "Chat", typescript: "chathub.ts"},
	} {
		s.protocol, s.check = jsonProtocol, true
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := run(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
