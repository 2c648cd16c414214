package hub_test

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
)

// wire stands for a carrier: it prints what the hub sends.
type wire struct {
	id  string
	got chan string
}

func (w wire) ID() string               { return w.id }
func (w wire) Context() context.Context { return context.Background() }
func (w wire) Close(error)              {}
func (w wire) Abort(error)              {}

func (w wire) Send(f *frame.Frame) error {
	w.got <- strings.TrimSuffix(string(f.Payload()), "\x1e")
	return nil
}

func (w wire) SendWait(_ context.Context, f *frame.Frame) error { return w.Send(f) }

// A hub of a few lines. An endpoint does with it what this example does by hand.
func Example() {
	h := hub.New(hub.Options{})
	h.Handle("Add", hub.Func2(func(_ context.Context, a, b int) (int, error) { return a + b, nil }))

	client := wire{id: "1", got: make(chan string, 10)}
	session := h.Connect(client, hub.ConnectInfo{Transport: "WebSockets", Binary: true})
	_ = session.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e"))
	_ = session.Receive([]byte(`{"type":1,"invocationId":"0","target":"Add","arguments":[20,22]}` + "\x1e"))
	fmt.Println(<-client.got)
	fmt.Println(<-client.got)
	session.Disconnected(nil)
	// Output:
	// {}
	// {"type":3,"invocationId":"0","result":42}
}

// Chat is what the clients of the example's hub implement.
type Chat interface {
	Said(ctx context.Context, who, what string) error
}

// chat is a Chat that stands for an audience.
type chat struct{ to hub.Sender }

func (c chat) Said(ctx context.Context, who, what string) error {
	return c.to.Send(ctx, "Said", who, what)
}

// A typed context sends to clients from methods and from anywhere else.
func ExampleNewContext() {
	h := hub.New(hub.Options{})
	chats := hub.NewContext(h, func(s hub.Sender) Chat { return chat{s} })
	h.Handle("Say", hub.Action1(func(ctx context.Context, what string) error {
		return chats.Clients().All().Said(ctx, hub.CallerFrom(ctx).ConnectionID(), what)
	}))

	client := wire{id: "1", got: make(chan string, 10)}
	session := h.Connect(client, hub.ConnectInfo{Transport: "WebSockets", Binary: true})
	_ = session.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e"))
	fmt.Println(<-client.got)

	_ = chats.Clients().Client("1").Said(context.Background(), "server", "welcome")
	fmt.Println(<-client.got)
	_ = session.Receive([]byte(`{"type":1,"target":"Say","arguments":["hello"]}` + "\x1e"))
	fmt.Println(<-client.got)
	session.Disconnected(nil)
	// Output:
	// {}
	// {"type":1,"target":"Said","arguments":["server","welcome"]}
	// {"type":1,"target":"Said","arguments":["1","hello"]}
}

// Streams go both ways: this one takes numbers and sends their squares.
func ExampleUpload() {
	h := hub.New(hub.Options{})
	h.Handle("Squares", hub.Stream1(func(_ context.Context, numbers hub.Upload[int]) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			for n, err := range numbers.All() {
				if !yield(n*n, err) {
					return
				}
			}
		}, nil
	}))

	client := wire{id: "1", got: make(chan string, 10)}
	session := h.Connect(client, hub.ConnectInfo{Transport: "WebSockets", Binary: true})
	for _, record := range []string{
		`{"protocol":"json","version":1}`,
		`{"type":4,"invocationId":"0","target":"Squares","arguments":[],"streamIds":["1"]}`,
		`{"type":2,"invocationId":"1","item":3}`,
		`{"type":2,"invocationId":"1","item":4}`,
		`{"type":3,"invocationId":"1"}`,
	} {
		_ = session.Receive([]byte(record + "\x1e"))
	}
	for range 4 {
		fmt.Println(<-client.got)
	}
	session.Disconnected(nil)
	// Output:
	// {}
	// {"type":2,"invocationId":"0","item":9}
	// {"type":2,"invocationId":"0","item":16}
	// {"type":3,"invocationId":"0"}
}

// A filter surrounds each invocation. The first filter is the outermost.
func ExampleFilter() {
	h := hub.New(hub.Options{Filters: []hub.Filter{{
		Invoke: func(ctx context.Context, inv *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
			result, err := next(ctx)
			fmt.Println(inv.Method, inv.Arguments(), "returns", result, err)
			return result, err
		},
	}}})
	h.Handle("Add", hub.Func2(func(_ context.Context, a, b int) (int, error) { return a + b, nil }))

	client := wire{id: "1", got: make(chan string, 10)}
	session := h.Connect(client, hub.ConnectInfo{Transport: "WebSockets", Binary: true})
	_ = session.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e"))
	fmt.Println(<-client.got)
	_ = session.Receive([]byte(`{"type":1,"invocationId":"0","target":"add","arguments":[20,22]}` + "\x1e"))
	fmt.Println(<-client.got)
	session.Disconnected(nil)
	// Output:
	// {}
	// Add [20 22] returns 42 <nil>
	// {"type":3,"invocationId":"0","result":42}
}

// Members may connect, and moderators may clear the room.
func ExampleMethod_Authorize() {
	h := hub.New(hub.Options{Authorize: []auth.Policy{auth.Role("member", "moderator")}})
	h.Handle("Clear", hub.Action0(func(context.Context) error { return nil }).Authorize(auth.Role("moderator")))

	for _, role := range []string{"member", "moderator"} {
		client := wire{id: "1", got: make(chan string, 10)}
		user := &auth.User{ID: "ann", Claims: map[string]any{"role": role}}
		session := h.Connect(client, hub.ConnectInfo{Transport: "WebSockets", Binary: true, User: user})
		_ = session.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e"))
		_ = session.Receive([]byte(`{"type":1,"invocationId":"0","target":"Clear","arguments":[]}` + "\x1e"))
		<-client.got // the answer to the handshake
		fmt.Println(<-client.got)
		session.Disconnected(nil)
	}
	// Output:
	// {"type":3,"invocationId":"0","error":"Failed to invoke 'Clear' because user is unauthorized"}
	// {"type":3,"invocationId":"0","result":null}
}

// The connections of a group, in all processes, page by page.
func ExampleHub_Connections() {
	h := hub.New(hub.Options{})
	for _, id := range []string{"b", "c", "a"} {
		session := h.Connect(wire{id: id, got: make(chan string, 10)}, hub.ConnectInfo{User: &auth.User{ID: "user-" + id}})
		defer session.Disconnected(nil) //nolint:revive // at the end of the example
		_ = session.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e"))
		_ = h.Groups().Add(context.Background(), id, "room")
	}

	room := hub.Audience{Kind: hub.InGroups, Names: []string{"room"}}
	for after := ""; ; {
		page, err := h.Connections(context.Background(), room, after, 2)
		if err != nil {
			fmt.Println(err)
			return
		}
		if page.Missing > 0 {
			fmt.Println(page.Missing, "processes have not answered")
		}
		for _, m := range page.Members {
			fmt.Println(m.ConnectionID, m.UserID)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	// Output:
	// a user-a
	// b user-b
	// c user-c
}
