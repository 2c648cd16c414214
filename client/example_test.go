package client_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
	"github.com/carillon-go/carillon/transports"
)

// chat is the hub that the examples talk to.
func chat() (url string, stop func()) {
	h := hub.New(hub.Options{})
	h.Handle("Broadcast", hub.Action2(func(ctx context.Context, user, text string) error {
		return h.Clients().All().Send(ctx, "ReceiveMessage", user, text)
	}))
	h.Handle("Add", hub.Func2(func(_ context.Context, a, b int) (int, error) { return a + b, nil }))
	h.Handle("Divide", hub.Func2(func(_ context.Context, a, b int) (int, error) {
		if b == 0 {
			return 0, hub.NewError("division by zero")
		}
		return a / b, nil
	}))
	h.Handle("Count", hub.Stream1(func(_ context.Context, n int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
		}, nil
	}))
	h.Handle("Join", hub.Func1(func(_ context.Context, words hub.Upload[string]) (string, error) {
		var all []string
		for word, err := range words.All() {
			if err != nil {
				return "", err
			}
			all = append(all, word)
		}
		return strings.Join(all, " "), nil
	}))
	h.Handle("Tenant", hub.Func0(func(ctx context.Context) (string, error) {
		return hub.HeadersFrom(ctx)["tenant"], nil
	}))
	h.Handle("AskMe", hub.Func0(func(ctx context.Context) (string, error) {
		return hub.Invoke[string](ctx, h.Clients().Caller(ctx), "Name", "you")
	}))
	e := endpoint.New(h, endpoint.Options{})
	s := httptest.NewServer(e)
	return s.URL, func() {
		_ = e.Shutdown(context.Background())
		s.Close()
	}
}

// Connect, be called by the hub, and call it.
func Example() {
	url, stop := chat()
	defer stop()
	ctx := context.Background()

	conn := client.New(url, client.Options{})
	received := make(chan struct{})
	conn.On("ReceiveMessage", client.Action2(func(_ context.Context, user, text string) error {
		fmt.Printf("%s: %s\n", user, text)
		close(received)
		return nil
	}))
	if err := conn.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Stop(ctx) }()

	if err := conn.Send(ctx, "Broadcast", "Ann", "hello"); err != nil {
		fmt.Println(err)
	}
	<-received
	// Output: Ann: hello
}

// A result has a type; an error of the hub arrives in its own words.
func ExampleInvoke() {
	url, stop := chat()
	defer stop()
	ctx := context.Background()
	conn := client.New(url, client.Options{})
	if err := conn.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Stop(ctx) }()

	sum, err := client.Invoke[int](ctx, conn, "Add", 3, 4)
	fmt.Println(sum, err)

	_, err = client.Invoke[int](ctx, conn, "Divide", 1, 0)
	if answer := new(client.HubError); errors.As(err, &answer) {
		text, fromHub := answer.Text()
		fmt.Println("the hub says:", text, fromHub)
		fmt.Println(err)
	}
	// Output:
	// 7 <nil>
	// the hub says: division by zero true
	// An unexpected error occurred invoking 'Divide' on the server. HubException: division by zero
}

// Range over what the hub streams; leaving the loop cancels the stream.
func ExampleStream() {
	url, stop := chat()
	defer stop()
	ctx := context.Background()
	conn := client.New(url, client.Options{})
	if err := conn.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Stop(ctx) }()

	for n, err := range client.Stream[int](ctx, conn, "Count", 1000) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(n)
		if n == 2 {
			break
		}
	}
	// Output:
	// 0
	// 1
	// 2
}

// Stream an argument while the method runs: from any sequence, or from a channel.
func ExampleUploadSeq() {
	url, stop := chat()
	defer stop()
	ctx := context.Background()
	conn := client.New(url, client.Options{})
	if err := conn.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Stop(ctx) }()

	words := []string{"one", "by", "one"}
	fmt.Println(client.Invoke[string](ctx, conn, "Join", client.UploadSeq(slices.Values(words))))

	ch := make(chan string)
	go func() {
		defer close(ch)
		ch <- "from"
		ch <- "a channel"
	}()
	fmt.Println(client.Invoke[string](ctx, conn, "Join", client.UploadChan(ch)))
	// Output:
	// one by one <nil>
	// from a channel <nil>
}

// The hub may ask a client and wait for its answer.
func ExampleFunc1() {
	url, stop := chat()
	defer stop()
	ctx := context.Background()
	conn := client.New(url, client.Options{})
	conn.On("Name", client.Func1(func(_ context.Context, who string) (string, error) {
		return who + " are Ann", nil
	}))
	if err := conn.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Stop(ctx) }()

	fmt.Println(client.Invoke[string](ctx, conn, "AskMe"))
	// Output: you are Ann <nil>
}

// Follow the life of a connection, and join groups in each new one.
func ExampleHubConnection_OnStateChange() {
	url, stop := chat()
	defer stop()
	ctx := context.Background()
	conn := client.New(url, client.Options{Reconnect: client.DefaultReconnect()})
	conn.OnStateChange(func(_ context.Context, change client.StateChange) {
		fmt.Println(change.From, "->", change.To)
	})
	conn.OnConnected(func(ctx context.Context) error {
		return conn.Send(ctx, "JoinGroup", "news") // groups do not survive a reconnect
	})
	if err := conn.Start(ctx); err != nil {
		fmt.Println(err)
	}
	if err := conn.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// Disconnected -> Connecting
	// Connecting -> Connected
	// Connected -> Disconnecting
	// Disconnecting -> Disconnected
}

// As a service: Run waits for a server that is not there yet, reconnects for ever, and returns nil when
// its context ends.
func ExampleHubConnection_Run() {
	url, stop := chat()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())

	conn := client.New(url, client.Options{Reconnect: client.ReconnectForever(time.Second, 30*time.Second)})
	conn.On("ReceiveMessage", client.Action2(func(_ context.Context, user, text string) error {
		fmt.Printf("%s: %s\n", user, text)
		cancel() // seen enough
		return nil
	}))
	conn.OnStateChange(func(ctx context.Context, change client.StateChange) {
		if change.To == client.Connected {
			_ = conn.Send(ctx, "Broadcast", "Bob", "here I am")
		}
	})
	fmt.Println(conn.Run(ctx))
	// Output:
	// Bob: here I am
	// <nil>
}

// A service that needs the hub starts before it, and waits until it is connected.
func ExampleHubConnection_WaitConnected() {
	url, stop := chat()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	conn := client.New(url, client.Options{Reconnect: client.ReconnectForever(time.Second, 30*time.Second)})
	ended := make(chan error)
	go func() { ended <- conn.Run(ctx) }()

	if err := conn.WaitConnected(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Invoke[int](ctx, conn, "Add", 3, 4))
	cancel()
	fmt.Println(<-ended)
	// Output:
	// 7 <nil>
	// <nil>
}

// A hub reads the headers of a call: a trace context, a tenant, a key against doing a thing twice.
func ExampleWithHeaders() {
	url, stop := chat()
	defer stop()
	ctx := context.Background()
	conn := client.New(url, client.Options{})
	if err := conn.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Stop(ctx) }()

	call := client.WithHeaders(ctx, map[string]string{"tenant": "blue"})
	fmt.Println(client.Invoke[string](call, conn, "Tenant"))
	// Output: blue <nil>
}

// A connection that survives its sockets, if the server allows it, and is made anew if it cannot be saved.
func ExampleOptions_statefulReconnect() {
	h := hub.New(hub.Options{})
	h.Handle("Add", hub.Func2(func(_ context.Context, a, b int) (int, error) { return a + b, nil }))
	e := endpoint.New(h, endpoint.Options{Options: transports.Options{AllowStatefulReconnect: true}})
	s := httptest.NewServer(e)
	defer s.Close()
	ctx := context.Background()
	defer func() { _ = e.Shutdown(ctx) }()

	conn := client.New(s.URL, client.Options{StatefulReconnect: true, Reconnect: client.DefaultReconnect()})
	if err := conn.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Stop(ctx) }()

	fmt.Println(client.Invoke[int](ctx, conn, "Add", 20, 22)) // answered once, whatever happens to the socket
	// Output: 42 <nil>
}

// MessagePack, one transport, and a token for each request.
func ExampleOptions() {
	url, stop := chat()
	defer stop()
	ctx := context.Background()
	conn := client.New(url, client.Options{
		Protocol:   protocol.NewMessagePack(),
		Transports: []client.Transport{client.LongPolling},
		AccessToken: func(context.Context) (string, error) {
			return "a fresh token", nil // asked for again after a 401
		},
	})
	if err := conn.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Stop(ctx) }()

	fmt.Println(conn.Transport())
	fmt.Println(client.Invoke[int](ctx, conn, "Add", 20, 22))
	// Output:
	// LongPolling
	// 42 <nil>
}
