package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// leftOutOfCorpus are kept cases whose difference cannot be told from a mistake by its kind, each with the reason.
var leftOutOfCorpus = map[string]string{
	"stateful-ack-ahead":      "an acknowledgement before the original has sent anything lets it forget what it sends next",
	"stateful-half-record":    "half a message before the break spoils the original's connection behind it",
	"stateful-take-over":      "a new WebSocket beside a living old one fails in the original",
	"stateful-take-over-dead": "there it waits, and is ended then",
}

// notIn10 are kept cases that ASP.NET Core 10 cannot pass, each with the reason.
var notIn10 = map[string]string{
	"hub-cancel-plain":    "its clients cannot cancel plain invocations, and its test hub lacks the method",
	"hub-double-id-plain": "its test hub lacks the method",
}

// leftOutOfStateful are random scripts of stateful reconnect that have to differ, each with the reason. What they do
// apart from it is in others.
var leftOutOfStateful = map[string]*regexp.Regexp{
	"a new WebSocket beside a living old one fails in the original": regexp.MustCompile(`"a second one"`),
	"the original forgets too much for an early acknowledgement":    regexp.MustCompile(`(?s)("type":8|\[8,).*"again"`),
	"the original counts where nothing can be resumed":              regexp.MustCompile(`(?s)"do":"(sse|polls)".*("type":9|\[9,)`),
}

// TestWireDiff compares the test hub with ASP.NET Core 11 on the wire: the kept cases and some random scripts. What may
// differ is in differences.txt, with the reasons.
func TestWireDiff(t *testing.T) {
	dir := reference(t)
	d := wireDiff{program: buildWireDiff(t, dir), a: startOriginal(t, dir, "aspnet11"), b: startTestHub(t), accepted: "differences.txt"}
	d.run(t, "corpus", "-corpus", corpus(t, dir, leftOutOfCorpus))
	d.run(t, "random", "-seed", "1", "-n", "250", "-area", "negotiate|site|handshake|hub|transports|echo|frames|results|auth|size")
	d.run(t, "stateful", "-corpus", statefulScripts(t, d.program))
}

// TestWireDiff10 compares the test hub with ASP.NET Core 10 by the kept cases. Besides what may differ from 11, that is
// what 11 changed: differences-10.txt.
func TestWireDiff10(t *testing.T) {
	dir := reference(t)
	d := wireDiff{program: buildWireDiff(t, dir), a: startOriginal(t, dir, "aspnet"), b: startTestHub(t), accepted: bothDifferences(t)}
	d.run(t, "corpus", "-corpus", corpus(t, dir, leftOutOfCorpus, notIn10))
}

// wireDiff compares two servers.
type wireDiff struct {
	program  string
	a, b     *server
	accepted string // file of the differences that do not count
}

// run is a subtest with wirediff's arguments.
func (d wireDiff) run(t *testing.T, name string, args ...string) {
	t.Run(name, func(t *testing.T) {
		args = append([]string{"-a", d.a.URL(), "-b", d.b.URL(), "-ignore-file", d.accepted}, args...)
		out, err := exec.CommandContext(t.Context(), d.program, args...).CombinedOutput()
		if err != nil {
			// On a machine that is busy with something else either server may miss a time-out.
			// What differs for a reason differs again, with more patience and fewer scripts at a time.
			t.Logf("the first time: %v\n%s", err, out)
			out, err = exec.CommandContext(t.Context(), d.program, append(args, "-j", "2", "-quiet", "100ms")...).CombinedOutput()
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		t.Logf("%s", out[max(0, len(out)-200):])
	})
}

// bothDifferences is a file of what may differ from ASP.NET Core 11 and of what that changed.
func bothDifferences(t *testing.T) string {
	t.Helper()
	var all []byte
	for _, name := range []string{"differences.txt", "differences-10.txt"} {
		lines, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, lines...)
	}
	file := filepath.Join(t.TempDir(), "differences.txt")
	if err := os.WriteFile(file, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// buildWireDiff builds the program from a copy, for what is beside the checkout may not be changed.
func buildWireDiff(t *testing.T, dir string) string {
	t.Helper()
	source := filepath.Join(t.TempDir(), "wirediff")
	if err := os.CopyFS(source, os.DirFS(filepath.Join(dir, "wirediff"))); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "wirediff")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build wirediff: %v\n%s", err, out)
	}
	return binary
}

// corpus copies the kept cases, without those that are left out.
func corpus(t *testing.T, dir string, leftOut ...map[string]string) string {
	t.Helper()
	kept := t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(filepath.Join(dir, "wirediff", "corpus"))); err != nil {
		t.Fatal(err)
	}
	for _, cases := range leftOut {
		for name := range cases {
			if err := os.Remove(filepath.Join(kept, name+".json")); err != nil {
				t.Error(err)
			}
		}
	}
	return kept
}

// statefulScripts writes random scripts, without those that are left out, to where they can be run from.
func statefulScripts(t *testing.T, wirediff string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), wirediff, "-dump", "-seed", "1", "-n", "250", "-area", "stateful").Output()
	if err != nil {
		t.Fatal(err)
	}
	kept := t.TempDir()
	for script := json.NewDecoder(bytes.NewReader(out)); script.More(); {
		var raw json.RawMessage
		if err := script.Decode(&raw); err != nil {
			t.Fatal(err)
		}
		if name := fmt.Sprintf("%d.json", script.InputOffset()); !isLeftOut(raw) {
			if err := os.WriteFile(filepath.Join(kept, name), raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return kept
}

func isLeftOut(script []byte) bool {
	for _, e := range leftOutOfStateful {
		if e.Match(script) {
			return true
		}
	}
	return false
}
