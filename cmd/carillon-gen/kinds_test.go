package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestPackages generates from packages that are unusual in one way. All compile with the
// generated code, whose files contain the wanted lines.
func TestPackages(t *testing.T) {
	for name, tt := range map[string]struct {
		archive string
		want    map[string][]string // file -> parts
	}{
		"embedded interfaces": {
			archive: `
-- x.go --
package x

import (
	"context"
	"x/base"
)

type Hub interface {
	Last(ctx context.Context) error
	own
	base.Hub
}

type own interface {
	// Middle is declared here.
	Middle(ctx context.Context) error
}

type Client interface{ base.Client[int] }
-- base/base.go --
package base

import "context"

type Hub interface {
	//carillon:name base-first
	First(ctx context.Context) error
}

type Client[T any] interface {
	// Show shows it.
	Show(ctx context.Context, v T) error
}
`,
			want: map[string][]string{
				"hub_gen.go": {`h.Handle("base-first", hub.Action0(impl.First))`, "// Middle is declared here.\nfunc (c *HubClient) Middle", "Show(ctx context.Context, v int) error"},
				"hub.ts":     {"/** Show shows it. */\n  show(v: number)"},
			},
		},
		"the same name in two packages": {
			archive: `
-- x.go --
package x

import (
	"context"
	"x/a/model"
	other "x/b/model"
)

type Thing struct { X int ` + "`json:\"x\"`" + ` }

type Hub interface {
	M(ctx context.Context, one model.Thing, two other.Thing, three Thing, four other.State) error
}

type Client interface{}
-- a/model/model.go --
package model

type Thing struct { A int ` + "`json:\"a\"`" + ` }
-- b/model/model.go --
package model

import "x/c"

type Thing struct { B int ` + "`json:\"b\"`" + ` }

type State struct { Color c.Color ` + "`json:\"color\"`" + ` }
-- c/c.go --
package c

type Color string

const (
	Red   Color = "red"
	Green Color = "green"
)
`,
			want: map[string][]string{
				"hub_gen.go": {`model2 "x/b/model"`, "one model.Thing, two model2.Thing, three Thing"},
				"hub.ts":     {"one: ModelThing, two: ModelThing2, three: Thing", `export type Color = "red" | "green";`},
			},
		},
		"a main package with small names": {
			archive: `
-- main.go --
package main

import "context"

type chatHub interface{ Send(ctx context.Context, m message) (*message, error) }
type chat interface{ Receive(ctx context.Context, m []message) (bool, error) }
type message struct { Text string ` + "`json:\"text\"`" + ` }

func main() { var _ = NewChatHubClient; var _ = RegisterChatHub }
`,
			want: map[string][]string{
				"chathub_gen.go": {"func RegisterChatHub(h *hub.Hub, impl chatHub)", "*chatHubClient", "type chatAudience interface"},
				"chathub.ts":     {"export interface Message {", "send(m: Message): Promise<Message | null>"},
			},
		},
		"names that mean something else": {
			archive: `
-- x.go --
package x

import (
	"context"
	"iter"
	"time"
)

type client struct{}
var hub, iter2 = 1, 2

type Date struct { D int ` + "`json:\"d\"`" + ` }
type Observer struct { O int ` + "`json:\"o\"`" + ` }

type Hub interface {
	Connection(ctx context.Context, connection string) error
	Constructor(c context.Context, time time.Time) (time.Time, error)
	Types(ctx context.Context, string string, error int, nil bool) (string, error)
	Own(ctx context.Context, arg2, h, conn string, context, client int) error
	Words(ctx context.Context, function, function_, items string, _ int, iter iter.Seq2[Observer, error]) (Date, error)
}

type Client interface{ Impl(to context.Context, impl, to2, a string) (string, error) }
`,
			want: map[string][]string{
				"hub_gen.go": {`hub2 "github.com/carillon-go/carillon/hub"`, "Own(ctx context.Context, arg2, arg2_, arg3 string, arg4, arg5 int)"},
				"hub.ts":     {"connection_(connection_: string)", "constructor_(time: string): Promise<string>", "function__: string, function_: string, items_: string, arg4: number", "Promise<XDate>"},
			},
		},
		"the generated file of the other hub is out of date": {
			archive: `
-- x.go --
package x

import "context"

type Hub interface{ M(ctx context.Context) error }
type Client interface{}
-- other_gen.go --
package x

func RegisterOther(impl Other) { impl.Gone() }
`,
			want: map[string][]string{"hub_gen.go": {"impl.M"}},
		},
		"a conflict in the generated file": {
			archive: `
-- x.go --
package x

import "context"

type Hub interface{ M(ctx context.Context) error }
type Client interface{}
-- hub_gen.go --
package x

<<<<<<< HEAD
func RegisterHub(impl Other) { impl.Gone() }
=======
func RegisterHub(impl Other) { impl.Lost() }
>>>>>>> topic
`,
			want: map[string][]string{"hub_gen.go": {"impl.M"}},
		},
		"an imported package does not compile yet": {
			archive: `
-- x.go --
package x

import (
	"context"
	"x/base"
)

type Hub interface{ base.Hub }
type Client interface{}
-- base/base.go --
package base

import "context"

type Hub interface{ M(ctx context.Context, k Kind) error }
type Kind int
const One Kind = 1

var _ = RegisterHub
`,
			want: map[string][]string{"hub_gen.go": {"M(ctx context.Context, k base.Kind)"}, "hub.ts": {"export type Kind = 1;"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newModule(t, tt.archive)
			hub, client := "Hub", "Client"
			if strings.Contains(name, "main package") {
				hub, client = "chatHub", "chat"
			}
			generateIn(t, dir, hub, client)
			if out := goBuild(t, dir); out != "" && !strings.Contains(name, "date") && !strings.Contains(name, "yet") {
				t.Error(out)
			}
			for file, parts := range tt.want {
				content := readFile(t, filepath.Join(dir, file))
				for _, part := range parts {
					if !strings.Contains(content, part) {
						t.Errorf("%s has no %q:\n%s", file, part, content)
					}
				}
			}
		})
	}
}

// TestHiddenType: generated code cannot name a type that another package does not export.
func TestHiddenType(t *testing.T) {
	dir := newModule(t, `
-- x.go --
package x

import "x/base"

type Hub interface{ base.Hub }
type Client interface{}
-- base/base.go --
package base

import "context"

type Hub interface {
	M(ctx context.Context, a map[string][]*hidden) error
	own(ctx context.Context) error
}
type hidden struct{}
`)
	_, err := run(settings{dir: dir, hub: "Hub", client: "Client", protocol: jsonProtocol})
	for _, want := range []string{
		"base.go:6:1: M: parameter a: package x has no access to the type x/base.hidden",
		"base.go:7:1: own is not exported; a name on the wire with a small letter is given by //carillon:name",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestLoose: with -loose only pointers may be null.
func TestLoose(t *testing.T) {
	dir := newModule(t, `
-- x.go --
package x

import "context"

type Hub interface{ M(ctx context.Context, a []byte, b map[string][]int, c []*int) (*bool, error) }
type Client interface{}
`)
	for loose, want := range map[bool]string{
		false: "m(a: string | null, b: Record<string, number[] | null> | null, c: (number | null)[] | null): Promise<boolean | null>",
		true:  "m(a: string, b: Record<string, number[]>, c: (number | null)[]): Promise<boolean | null>",
	} {
		s := settings{dir: dir, hub: "Hub", client: "Client", protocol: jsonProtocol, typescript: "hub.ts", loose: loose}
		if _, err := run(s); err != nil {
			t.Fatal(err)
		}
		if ts := readFile(t, filepath.Join(dir, "hub.ts")); !strings.Contains(ts, want) {
			t.Errorf("loose %v: %s", loose, ts)
		}
	}
}

// TestMapping: -map tells the form of a type that encodes itself.
func TestMapping(t *testing.T) {
	dir := newModule(t, `
-- x.go --
package x

import "context"

type Hub interface{ M(ctx context.Context, a Own) ([]Own, error) }
type Client interface{}
type Own struct{}

func (Own) MarshalJSON() ([]byte, error) { return nil, nil }
`)
	s := settings{dir: dir, hub: "Hub", client: "Client", protocol: jsonProtocol, typescript: "hub.ts", mapped: map[string]kind{}}
	if err := s.addMapping("x.Own=colour"); err == nil {
		t.Error("an unknown kind was accepted")
	}
	if err := s.addMapping("x.Own=number"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(s); err != nil {
		t.Fatal(err)
	}
	if ts := readFile(t, filepath.Join(dir, "hub.ts")); !strings.Contains(ts, "m(a: number): Promise<number[] | null>") {
		t.Error(ts)
	}
}

// TestWarnings: each warning has the position of a field or a parameter.
func TestWarnings(t *testing.T) {
	dir := newModule(t, strings.ReplaceAll(`
-- x.go --
package x

import "context"

type Hub interface {
	M(ctx context.Context, a []int64, t T) error
}

type Client interface{}

type T struct {
	ToString bool   ${q}json:"toString,omitempty"${q}
	Long     uint64 ${q}json:"long"${q}
	Quoted   int64  ${q}json:"quoted,string"${q}
	Plain    int
}
`, "${q}", "`"))
	warnings := strings.Join(generateIn(t, dir, "Hub", "Client"), "\n")
	for _, want := range []string{
		"x.go:6:25: M: parameter a has 64 bits",
		"x.go:12:2: T.ToString may be missing, and every object of JavaScript has a member toString",
		"x.go:13:2: T.Long has 64 bits",
		`x.go:15:2: T.Plain has no json tag: it is "plain" by JSON and "Plain" by MessagePack`,
	} {
		if !strings.Contains(warnings, want) {
			t.Errorf("no %q in\n%s", want, warnings)
		}
	}
	if n := strings.Count(warnings, "\n"); n != 3 {
		t.Errorf("%d warnings\n%s", n+1, warnings)
	}
}

// TestTwoHubs: a package has two hubs whose interfaces share types and methods. A client
// interface belongs to one of them.
func TestTwoHubs(t *testing.T) {
	dir := newModule(t, `
-- x.go --
package x

import "context"

type Common interface{ Version(ctx context.Context) (Kind, error) }
type One interface{ Common }
type Two interface{ Common }
type OneView interface{ Show(ctx context.Context, k Kind) error }
type TwoView interface{ OneView }
type Kind string

const New Kind = "new"
`)
	generateIn(t, dir, "One", "OneView")
	generateIn(t, dir, "Two", "TwoView")
	if out := goBuild(t, dir); out != "" {
		t.Error(out)
	}
	_, err := run(settings{dir: dir, hub: "Two", client: "OneView", protocol: jsonProtocol})
	want := "one_gen.go:18:6: OneViewContext is declared in two_gen.go, too; choose another name for it, and for each hub of a package a client interface of its own"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
