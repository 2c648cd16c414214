package main

import (
	"cmp"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGeneratedFilesAreFresh runs each go:generate line of the repository that has the
// generator, with -check.
func TestGeneratedFilesAreFresh(t *testing.T) {
	lines := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return skipModules(d, err)
		}
		source, err := os.ReadFile(path)
		for _, line := range generateLine.FindAllSubmatch(source, -1) {
			lines++
			cmd := exec.CommandContext(t.Context(), "go", append(strings.Fields(string(line[1])), "-check")...)
			cmd.Dir = filepath.Dir(path)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v\n%s", path, line[1], err, out)
			}
		}
		return err
	})
	if err != nil || lines < 3 {
		t.Errorf("%d lines found, %v", lines, err)
	}
}

var generateLine = regexp.MustCompile(`(?m)^//go:generate go (tool .*carillon-gen .*)$`)

// skipModules skips folders of other people's modules and the generator's own.
func skipModules(d fs.DirEntry, err error) error {
	if err == nil && d.IsDir() && slices.Contains([]string{".git", "node_modules", "carillon-gen", "venv"}, d.Name()) {
		return fs.SkipDir
	}
	return err
}

// write makes a package with two interfaces of the given methods.
func write(t *testing.T, dir, hub, client, more string) settings {
	t.Helper()
	source := "package x\n\nimport (\n\t\"context\"\n\t\"iter\"\n\t\"time\"\n)\n\nvar _ iter.Seq[time.Time]\n\ntype Hub interface {\n" + hub + "\n}\n\ntype Client interface {\n" + client + "\n}\n" + more
	for name, content := range map[string]string{"go.mod": "module x\n\ngo 1.26\n", "x.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return settings{dir: dir, hub: "Hub", client: "Client", typescript: "x.ts", protocol: jsonProtocol}
}

// TestFaults: a type or a signature without an equivalent on the wire is an error with its position.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct{ hub, client, more, hubName, protocol, want string }{
		"no context":           {hub: "M(a int) error", want: "x.go:12:1: M: the first parameter must be a context.Context"},
		"no error":             {hub: "M(ctx context.Context) int", want: "M: the results must be (error) or (T, error)"},
		"variadic":             {hub: "M(ctx context.Context, a ...int) error", want: "take a slice"},
		"channel":              {hub: "M(ctx context.Context, a chan int) error", want: "M: parameter a: the type chan int has no equivalent"},
		"function in a field":  {hub: "M(ctx context.Context, a T) error", more: "type T struct {\n\tF func() `json:\"f\"`\n}", want: "x.go:19:2: T.F: the type func() has no equivalent"},
		"function as a stream": {hub: "M(ctx context.Context, a iter.Seq[int]) error", want: "x.go:12:24: M: parameter a: the type iter.Seq[int] has no equivalent on the wire; a stream is an iter.Seq2[T, error]"},
		"unknown type":         {hub: "M(ctx context.Context, a Mesage) error", want: "x.go:12:24: M: parameter a: undefined: Mesage"},
		"unknown field type":   {hub: "M(ctx context.Context, a T) error", more: "type T struct {\n\tF *other.T\n}", want: "x.go:19:2: T.F: undefined: other"},
		"unknown interface":    {hub: "Gone\nM(ctx context.Context) error", want: "x.go:11:6: Hub embeds an interface that does not compile"},
		"type parameters":      {more: "type Generic[T any] interface{ M(context.Context, T) error }", hubName: "Generic", want: "x.go:18:6: Generic has type parameters"},
		"constraint":           {more: "type Number interface{ ~int | ~string }", hubName: "Number", want: "x.go:18:6: Number is not an interface of methods"},
		"no interface":         {hubName: "Gone", want: "package x in "},
		"ever larger type":     {hub: "M(ctx context.Context, a T[int]) error", more: "type T[P any] struct { F *T[[]P] }", want: "contains ever larger types"},
		"unknown alias":        {hub: "M(ctx context.Context, a []alias) error", more: "type alias = base.Type\n", want: "x.go:12:24: M: parameter a: its type is not known"},
		"complex number":       {hub: "M(ctx context.Context, a complex64) error", want: "the type complex64 has no equivalent"},
		"interface":            {hub: "M(ctx context.Context, a error) error", want: "the type error has no equivalent"},
		"embedded error":       {hub: "error", want: "Error: the first parameter must be a context.Context"},
		"name of the file":     {hub: "M(ctx context.Context) error", more: "\nfunc NewHubClient() {}", want: "x.go:19:6: NewHubClient is declared in hub_gen.go, too"},
		"unknown directive":    {hub: "//carillon:rename m\nM(ctx context.Context) error", want: `"//carillon:rename m" is no directive`},
		"one name by case":     {hub: "//carillon:name a\nURL(ctx context.Context) error\n//carillon:name b\nUrl(ctx context.Context) error", want: `x.go:15:1: Url: URL has the name "url" in TypeScript, too`},
		"own encoding":         {hub: "M(ctx context.Context, a T) error", more: "type T struct{}\n\nfunc (T) MarshalJSON() ([]byte, error) { return nil, nil }", want: "x.T encodes itself"},
		"own MessagePack":      {hub: "M(ctx context.Context, a T) error", more: "type T struct{}\n\nfunc (T) MarshalMsg([]byte) ([]byte, error) { return nil, nil }", protocol: messagePack, want: "x.T encodes itself"},
		"integer keys":         {hub: "M(ctx context.Context, a map[int]string) error", want: "the keys of a map must be strings, not int"},
		"nameless struct":      {hub: "M(ctx context.Context, a struct{ B int }) error", want: "a struct needs a name"},
		"seven parameters":     {hub: "M(ctx context.Context, a, b, c, d, e, f, g int) error", want: "M has 7 parameters; 6 are possible"},
		"stream of five":       {hub: "M(ctx context.Context, a, b, c, d, e int) (iter.Seq2[int, error], error)", want: "M has 5 parameters; 4 are possible"},
		"two with one name":    {hub: "M(ctx context.Context) error\n//carillon:name m\nN(ctx context.Context) error", want: `N: M has the name "m" on the wire, too`},
		"a constructor":        {client: "Constructor(ctx context.Context) error", want: "x.go:16:1: Constructor: the official JavaScript client cannot receive a method of this name"},
		"a stream to a client": {client: "M(ctx context.Context, a iter.Seq2[int, error]) error", want: "M: a client cannot take or answer with a stream"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := write(t, t.TempDir(), tt.hub, tt.client, tt.more)
			s.hub, s.protocol = cmp.Or(tt.hubName, s.hub), cmp.Or(tt.protocol, s.protocol)
			if _, err := run(s); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestBreaks: a contract that breaks deployed clients is refused, and one that does not
// is written.
func TestBreaks(t *testing.T) {
	const fields = "A int `json:\"a\"`"
	type contract struct {
		hub, client, fields, values, inner string
		renamed                            bool // type T to U
	}
	base := contract{
		hub:    "M(ctx context.Context, a int) error\nTake(ctx context.Context, v T) error\nGive(ctx context.Context) (V, error)",
		client: "R(ctx context.Context, k K) error", inner: "X int", fields: fields, values: "One K = \"1\"; Two K = \"2\"",
	}
	for name, tt := range map[string]struct {
		change func(*contract)
		want   string // empty: nothing breaks
	}{
		"nothing":              {change: func(*contract) {}},
		"a new method":         {change: func(c *contract) { c.hub += "\nNew(ctx context.Context) error" }},
		"an optional field":    {change: func(c *contract) { c.fields += "; B int `json:\"b,omitempty\"`" }},
		"a new value":          {change: func(c *contract) { c.values += "; Three K = \"3\"" }},
		"another Go name":      {change: func(c *contract) { c.hub = "//carillon:name M\n" + strings.Replace(c.hub, "M(", "Renamed(", 1) }},
		"a removed method":     {change: func(c *contract) { c.hub = strings.Replace(c.hub, "M(", "Renamed(", 1) }, want: "M was removed or renamed; keep it, or give another Go method this name by //carillon:name M"},
		"a removed receiver":   {change: func(c *contract) { c.client = "S(ctx context.Context, k K) error" }, want: "R was removed or renamed"},
		"an argument more":     {change: func(c *contract) { c.hub = strings.Replace(c.hub, "a int", "a, b int", 1) }, want: "M took 1 arguments and takes 2"},
		"another type":         {change: func(c *contract) { c.hub = strings.Replace(c.hub, "a int", "a string", 1) }, want: "argument a of M was integer and is string"},
		"a stream":             {change: func(c *contract) { c.hub = strings.Replace(c.hub, "a int", "a iter.Seq2[int, error]", 1) }, want: "argument a of M was integer and is a stream of integer"},
		"a result":             {change: func(c *contract) { c.hub = strings.Replace(c.hub, "a int) error", "a int) (bool, error)", 1) }, want: "the result of M was nothing and is boolean"},
		"a required field":     {change: func(c *contract) { c.fields += "; B int `json:\"b\"`" }, want: "the required field b was added to T, which clients send"},
		"another field":        {change: func(c *contract) { c.fields = "A string `json:\"a\"`" }, want: "field a of T was integer and is string"},
		"a removed value":      {change: func(c *contract) { c.values = "One K = \"1\"" }, want: `the value "2" was removed from K`},
		"another type's name":  {change: func(c *contract) { c.hub, c.renamed = strings.ReplaceAll(c.hub, "v T", "v U"), true }},
		"a field of a field":   {change: func(c *contract) { c.inner = "X string" }, want: "field x of W was integer and is string"},
		"a result of a client": {change: func(c *contract) { c.client += "\nAsk(ctx context.Context) (int, error)" }, want: "the hub asks clients for Ask"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, now := t.TempDir(), base
			tt.change(&now)
			var last error
			for _, c := range []contract{base, now} {
				more := "type T struct {" + c.fields + "; W map[string][]*W}\ntype W struct {" + c.inner + "; More *W}\ntype V struct {" + fields + "}\ntype K string\nconst (" + c.values + ")"
				if c.renamed {
					more = strings.Replace(more, "type T ", "type U ", 1)
				}
				_, last = run(write(t, dir, c.hub, c.client, more))
			}
			if tt.want == "" && last != nil || tt.want != "" && (last == nil || !strings.Contains(last.Error(), tt.want)) {
				t.Errorf("got %v, want %q", last, tt.want)
			}
		})
	}
}

// TestFieldOfResult: clients miss a field that is removed from a result.
func TestFieldOfResult(t *testing.T) {
	dir := t.TempDir()
	var last error
	for _, fields := range []string{"A, B int", "A int"} {
		_, last = run(write(t, dir, "Give(ctx context.Context) (V, error)", "", "type V struct {"+fields+"}"))
	}
	if last == nil || !strings.Contains(last.Error(), "field b was removed from V, which clients receive") {
		t.Errorf("got %v", last)
	}
}

// TestNewFolder: the TypeScript file may be the first in its folder.
func TestNewFolder(t *testing.T) {
	s := write(t, t.TempDir(), "M(ctx context.Context) error", "", "")
	s.typescript = "web/src/x.ts"
	if _, err := run(s); err != nil {
		t.Error(err)
	}
}
