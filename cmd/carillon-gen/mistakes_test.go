package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// application is a chat of twelve methods. By hand are the two interfaces, the line that
// generates, and the code of the application itself.
const application = `
-- contract.go --
package main

import (
	"context"
	"iter"
)

//go:generate go tool carillon-gen -hub ChatHub -client Chat -ts chat.ts

// ChatHub has the methods that clients may invoke.
type ChatHub interface {
	Join(ctx context.Context, room string) error
	Leave(ctx context.Context, room string) error
	Send(ctx context.Context, room, text string) error
	History(ctx context.Context, room string, n int) ([]Message, error)
	Follow(ctx context.Context, room string) (iter.Seq2[Message, error], error)
	Import(ctx context.Context, room string, lines iter.Seq2[string, error]) (int, error)
	Rooms(ctx context.Context) ([]string, error)
	Ask(ctx context.Context, user, question string) (bool, error)
}

// Chat has the methods that every client implements.
type Chat interface {
	Receive(ctx context.Context, m Message) error
	Joined(ctx context.Context, room, user string) error
	Left(ctx context.Context, room, user string) error
	Confirm(ctx context.Context, question string) (bool, error)
}

type Message struct {
	Room string ${q}json:"room"${q}
	Text string ${q}json:"text"${q}
}
-- main.go --
package main

import (
	"context"
	"iter"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
)

type server struct{ clients ChatContext }

func (s server) Join(ctx context.Context, room string) error {
	return s.clients.Clients().Group(room).Joined(ctx, room, "user")
}

func (s server) Leave(ctx context.Context, room string) error {
	return s.clients.Clients().Group(room).Left(ctx, room, "user")
}

func (s server) Send(ctx context.Context, room, text string) error {
	return s.clients.Clients().All().Receive(ctx, Message{room, text})
}

func (s server) History(context.Context, string, int) ([]Message, error) { return nil, nil }

func (s server) Follow(context.Context, string) (iter.Seq2[Message, error], error) { return nil, nil }

func (s server) Import(_ context.Context, _ string, lines iter.Seq2[string, error]) (int, error) {
	n := 0
	for range lines {
		n++
	}
	return n, nil
}

func (s server) Rooms(context.Context) ([]string, error) { return nil, nil }

func (s server) Ask(ctx context.Context, user, question string) (bool, error) {
	return s.clients.Client(user).Confirm(ctx, question)
}

type bot struct{ Chat }

func main() {
	h := hub.New(hub.Options{})
	RegisterChatHub(h, server{NewChatContext(h)})
	conn := client.New("http://localhost:8080", client.Options{})
	ReceiveChat(conn, bot{})
	_, _ = NewChatHubClient(conn).History(context.Background(), "lobby", 10)
}
`

// TestMistakes: each mistake in the application does not compile, or is found by -check.
func TestMistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		file, old, new string
		compiler       string // its error before the code is generated again; empty: it compiles
		check          string // the error of -check
	}{
		"no mistake":                {},
		"a forgotten method":        {file: "main.go", old: "func (s server) Leave(", new: "func (s server) notLeave(", compiler: "missing method Leave"},
		"a forgotten method of all": {file: "contract.go", old: "\tRooms(", new: "\tTopics(ctx context.Context) error\n\tRooms(", compiler: "missing method Topics", check: "out of date"},
		"a renamed implementation":  {file: "main.go", old: "func (s server) History(", new: "func (s server) Past(", compiler: "missing method History"},
		"a renamed method":          {file: "contract.go", old: "\tHistory(", new: "\tPast(", compiler: "impl.History undefined", check: "History was removed or renamed"},
		"a renamed receiver":        {file: "contract.go", old: "\tReceive(", new: "\tTake(", compiler: "Receive undefined", check: "Receive was removed or renamed"},
		"a changed argument":        {file: "contract.go", old: "room string, n int", new: "room string, n string", compiler: "wrong type for method History", check: "argument n of History was integer and is string"},
		"a changed argument of all": {file: "contract.go", old: "Joined(ctx context.Context, room, user string)", new: "Joined(ctx context.Context, room string)", compiler: "wrong type for method Joined", check: "Joined took 2 arguments and takes 1"},
		"an argument by the caller": {file: "main.go", old: `"lobby", 10`, new: `"lobby", "10"`, compiler: `cannot use "10"`},
		"a changed field":           {file: "contract.go", old: `json:"text"`, new: `json:"line"`, check: "field text was removed from Message"},
		"a result asked of all":     {file: "main.go", old: "s.clients.Client(user).Confirm", new: "s.clients.Clients().All().Confirm", compiler: "Confirm undefined"},
		"a result asked of a group": {file: "main.go", old: "s.clients.Client(user).Confirm", new: "s.clients.Clients().Group(user).Confirm", compiler: "Confirm undefined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := newModule(t, strings.ReplaceAll(application, "${q}", "`"))
			s := settings{dir: dir, hub: "ChatHub", client: "Chat", typescript: "chat.ts", protocol: jsonProtocol}
			if _, err := run(s); err != nil {
				t.Fatal(err)
			}
			if tt.file != "" {
				path := filepath.Join(dir, tt.file)
				before := readFile(t, path)
				if !strings.Contains(before, tt.old) {
					t.Fatalf("%s has no %q", tt.file, tt.old)
				}
				writeFile(t, path, []byte(strings.ReplaceAll(before, tt.old, tt.new)))
			}
			if out := goBuild(t, dir); (out == "") != (tt.compiler == "") || !strings.Contains(out, tt.compiler) {
				t.Errorf("the compiler says %q, want %q", out, tt.compiler)
			}
			s.check = true
			if _, err := run(s); (err == nil) != (tt.check == "") || err != nil && !strings.Contains(err.Error(), tt.check) {
				t.Errorf("-check says %v, want %q", err, tt.check)
			}
		})
	}
}
