package hub_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// typed is an error with a type that clients know.
type typed struct{ name, text string }

func (e typed) Error() string     { return e.text }
func (e typed) ErrorType() string { return e.name }

// newLab makes a hub with a method of every kind. While a test runs on two hubs, it makes
// another one that is joined to it.
func newLab(o hub.Options) *hub.Hub {
	if !twoHubs.on {
		return newLoneLab(o)
	}
	return twoHubs.join(o)
}

func newLoneLab(o hub.Options) *hub.Hub {
	h := hub.New(o)
	clients := h.Clients()
	h.Handle("Text", hub.Func1(func(_ context.Context, s string) (string, error) { return s, nil }))
	h.Handle("Void", hub.Action0(func(context.Context) error { return nil }))
	h.Handle("Add", hub.Func2(func(_ context.Context, a, b int) (int, error) { return a + b, nil }))
	h.Handle("Fail", hub.Action1(func(_ context.Context, s string) error { return typed{"InvalidOperationException", s} }))
	h.Handle("FailPlain", hub.Action1(func(_ context.Context, s string) error { return errors.New(s) }))
	h.Handle("FailHub", hub.Action1(func(_ context.Context, s string) error { return fmt.Errorf("secret: %w", hub.NewError(s)) }))
	h.Handle("Panic", hub.Action1(func(_ context.Context, s string) error { panic(s) }))
	h.Handle("SendThenWait", hub.Func2(func(ctx context.Context, ms int, s string) (string, error) {
		if err := clients.Caller(ctx).Send(ctx, "Started", s); err != nil {
			return "", err
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			return s, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}))
	h.Handle("Send", hub.Action2(func(ctx context.Context, method, s string) error {
		return clients.Caller(ctx).Send(ctx, method, s)
	}))
	h.Handle("AskMe", hub.Func1(func(ctx context.Context, method string) (string, error) {
		n, err := hub.Invoke[int](ctx, clients.Caller(ctx), method, 7)
		return fmt.Sprintf("got %d", n), err
	}))
	h.Handle("Guarded", hub.Action0(func(context.Context) error { return nil }).Authorize())
	h.Handle("Abort", hub.Func0(func(ctx context.Context) (string, error) {
		hub.CallerFrom(ctx).Abort()
		return "after", nil
	}))
	handleStreams(h)
	return h
}

func handleStreams(h *hub.Hub) {
	clients := h.Clients()
	h.Handle("Count", hub.Stream2(func(ctx context.Context, n, ms int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			for i := range n {
				if ms > 0 {
					select {
					case <-time.After(time.Duration(ms) * time.Millisecond):
					case <-ctx.Done():
						yield(0, ctx.Err())
						return
					}
				}
				if !yield(i, nil) {
					return
				}
			}
		}, nil
	}))
	h.Handle("CountThenFail", hub.Stream1(func(_ context.Context, n int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			yield(0, typed{"InvalidOperationException", "boom"})
		}, nil
	}))
	h.Handle("FailAtOnce", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) {
		return nil, typed{"InvalidOperationException", "boom"}
	}))
	h.Handle("NullStream", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) { return nil, nil }))
	h.Handle("PanicLater", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			yield(1, nil)
			panic("later")
		}, nil
	}))
	h.Handle("Infinite", hub.Stream0(func(ctx context.Context) (iter.Seq2[string, error], error) {
		return func(func(string, error) bool) {
			<-ctx.Done()
			_ = clients.Caller(context.WithoutCancel(ctx)).Send(context.WithoutCancel(ctx), "StreamCanceled")
		}, nil
	}))
	h.Handle("Channel", hub.Stream0(func(ctx context.Context) (iter.Seq2[string, error], error) {
		return hub.FromChannel(ctx, make(chan string)), nil
	}))
	h.Handle("Upload", hub.Func1(func(_ context.Context, items hub.Upload[int]) (string, error) {
		var got []string
		for n, err := range items.All() {
			if err != nil {
				got = append(got, err.Error())
				break
			}
			got = append(got, fmt.Sprint(n))
		}
		return strings.Join(got, ","), nil
	}))
	h.Handle("Concat", hub.Func1(func(_ context.Context, items hub.Upload[string]) (string, error) {
		all := ""
		for s, err := range items.All() {
			if err != nil {
				return "", err
			}
			all += s
		}
		return all, nil
	}))
	h.Handle("UploadTwo", hub.Func3(func(_ context.Context, a hub.Upload[int], between string, b hub.Upload[string]) (string, error) {
		return fmt.Sprintf("%d%s%d", count(a), between, count(b)), nil
	}))
	h.Handle("UploadIgnored", hub.Func1(func(context.Context, hub.Upload[int]) (string, error) { return "not read", nil }))
	h.Handle("UploadSlow", hub.Func2(func(ctx context.Context, items hub.Upload[int], ms int) (int, error) {
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-ctx.Done():
		}
		return count(items), nil
	}))
	h.Handle("Double", hub.Stream1(func(_ context.Context, items hub.Upload[int]) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			for n, err := range items.All() {
				if !yield(2*n, err) {
					return
				}
			}
		}, nil
	}))
}

func call(id, target, arguments string) string {
	if id == "" {
		return fmt.Sprintf(`{"type":1,"target":%q,"arguments":[%s]}`, target, arguments)
	}
	return fmt.Sprintf(`{"type":1,"invocationId":%q,"target":%q,"arguments":[%s]}`, id, target, arguments)
}

func stream(id, target, arguments string) string {
	return fmt.Sprintf(`{"type":4,"invocationId":%q,"target":%q,"arguments":[%s]}`, id, target, arguments)
}

func callWith(id, target, arguments, streamIDs string) string {
	return fmt.Sprintf(`{"type":1,"invocationId":%q,"target":%q,"arguments":[%s],"streamIds":[%s]}`, id, target, arguments, streamIDs)
}

func item(id, value string) string {
	return fmt.Sprintf(`{"type":2,"invocationId":%q,"item":%s}`, id, value)
}

func end(id string) string    { return fmt.Sprintf(`{"type":3,"invocationId":%q}`, id) }
func cancel(id string) string { return fmt.Sprintf(`{"type":5,"invocationId":%q}`, id) }

func result(id, value string) string {
	return fmt.Sprintf(`{"type":3,"invocationId":%q,"result":%s}`, id, value)
}

func failed(id, text string) string {
	return fmt.Sprintf(`{"type":3,"invocationId":%q,"error":"%s"}`, id, text)
}

func started(s string) string {
	return fmt.Sprintf(`{"type":1,"target":"Started","arguments":[%q]}`, s)
}

func fatal(text string) string {
	return fmt.Sprintf(`{"type":7,"error":"Connection closed with an error.%s","allowReconnect":true}`, text)
}

// detailed connects a client to a lab that tells errors in detail.
func detailed(t *testing.T) *client {
	t.Helper()
	return connect(t, newLab(hub.Options{DetailedErrors: true}), clientOptions{})
}

func count[T any](u hub.Upload[T]) (n int) {
	for _, err := range u.All() {
		if err == nil {
			n++
		}
	}
	return n
}
