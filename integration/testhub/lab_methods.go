package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
)

// lab is the hub for observation. Its methods take arguments of every kind and end in every
// way.
type lab struct{ clients hub.Clients[hub.Sender] }

func newLab(o hub.Options) *hub.Hub {
	h := hub.New(o)
	l := lab{h.Clients()}
	l.handleValues(h)
	l.handleArguments(h)
	l.handleFailures(h)
	l.handleStreams(h)
	l.handleUploads(h)
	l.handleCallers(h)
	l.handleGroups(h)
	return h
}

func (l lab) handleValues(h *hub.Hub) {
	h.Handle("Value", hub.Func1(value))
	h.Handle("Send", hub.Action1(func(ctx context.Context, name string) error {
		v, err := value(ctx, name)
		if err != nil {
			return err
		}
		return l.clients.Caller(ctx).Send(ctx, "Value", v)
	}))
	h.Handle("StreamValue", hub.Stream2(func(ctx context.Context, name string, n int32) (iter.Seq2[any, error], error) {
		return func(yield func(any, error) bool) {
			for range n {
				if v, err := value(ctx, name); !yield(v, err) || err != nil {
					return
				}
			}
		}, nil
	}))
	h.Handle("SendMany", hub.Action0(func(ctx context.Context) error {
		return l.clients.Caller(ctx).Send(ctx, "Many", 1, "two", nil, true)
	}))
	h.Handle("SendNone", hub.Action0(func(ctx context.Context) error { return l.clients.Caller(ctx).Send(ctx, "None") }))
	h.Handle("SendTo", hub.Action1(func(ctx context.Context, target string) error { return l.clients.Caller(ctx).Send(ctx, target, 1) }))
	h.Handle("SendBig", hub.Action1(func(ctx context.Context, n int) error { return l.clients.Caller(ctx).Send(ctx, "Big", long(n)) }))
	h.Handle("SendTimes", hub.Action2(l.sendTimes))
	h.Handle("Big", hub.Func1(func(_ context.Context, n int) (string, error) { return long(n), nil }))
	for _, name := range []string{"Void", "TaskVoid", "ValueTaskVoid"} {
		h.Handle(name, hub.Action0(func(context.Context) error { return nil }))
	}
	h.Handle("TaskNull", hub.Func0(func(context.Context) (*string, error) { return nil, nil })) //nolint:nilnil // the result is null
}

func long(n int) string { return strings.Repeat("b", n) }

func (l lab) sendTimes(ctx context.Context, n, size int) error {
	for i := range n {
		if err := l.clients.Caller(ctx).Send(ctx, "Item", i, long(size)); err != nil {
			return err
		}
	}
	return nil
}

// handleArguments adds the methods that return their arguments as text.
func (l lab) handleArguments(h *hub.Hub) {
	h.Handle("Text", hub.Func1(echoText))
	h.Handle("Args", hub.Func4(func(_ context.Context, a int32, b *string, c float64, d bool) (string, error) {
		return fmt.Sprintf("%d|%s|%s|%s", a, text(b), doubleText(c), boolText(d)), nil
	}))
	h.Handle("Integer", textOf(func(n int32) string { return strconv.Itoa(int(n)) }))
	h.Handle("Long", textOf(func(n int64) string { return strconv.FormatInt(n, 10) }))
	h.Handle("Double", textOf(doubleText))
	h.Handle("Bool", textOf(boolText))
	h.Handle("Date", textOf(dateText))
	h.Handle("IdOf", textOf(protocol.Guid.String))
	h.Handle("MaybeInt", textOf(func(n *int32) string {
		if n == nil {
			return "none"
		}
		return strconv.Itoa(int(*n))
	}))
	h.Handle("Bytes", textOf(func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }))
	h.Handle("Shaped", hub.Func1(shaped))
	h.Handle("Any", textOf(typeOf))
	h.Handle("Optional", hub.Func1(echoText))
	h.Handle("Sum", hub.Func1(func(_ context.Context, all []int32) (int32, error) {
		var sum int32
		for _, n := range all {
			sum += n
		}
		return sum, nil
	}))
	h.Handle("renamed.method", hub.Func0(func(context.Context) (string, error) { return "renamed", nil }))
}

// textOf returns a method that returns its argument as text.
func textOf[T any](f func(T) string) hub.Method {
	return hub.Func1(func(_ context.Context, v T) (string, error) { return f(v), nil })
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func boolText(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// doubleText formats f in .NET's format R.
func doubleText(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-5 || a >= 1e15) {
		return strconv.FormatFloat(f, 'E', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// dateText formats t in .NET's format O, followed by its kind.
func dateText(t time.Time) string {
	const layout = "2006-01-02T15:04:05.0000000"
	switch {
	case t.IsZero() || t.Location() == protocol.Unspecified:
		return t.Format(layout) + " Unspecified"
	case t.Location() == time.UTC:
		return t.Format(layout) + "Z Utc"
	}
	return t.Format(layout+"-07:00") + " Local"
}

// typeOf returns the .NET type of an argument that is declared as object: all JSON values
// have the same one.
func typeOf(any) string { return "System.Text.Json.JsonElement" }

func (l lab) handleFailures(h *hub.Hub) {
	h.Handle("Fail", hub.Action1(func(_ context.Context, m *string) error { return thrown(m) }))
	for _, name := range []string{"FailHub", "FailHubInner"} {
		h.Handle(name, hub.Action1(func(_ context.Context, m string) error { return hub.NewError(m) }))
	}
	h.Handle("FailLater", hub.Action1(func(_ context.Context, m string) error {
		<-time.After(20 * time.Millisecond)
		return typed{"ApplicationException", m}
	}))
	h.Handle("FailCanceled", hub.Action0(func(context.Context) error {
		return typed{"OperationCanceledException", "The operation was canceled."}
	}))
	h.Handle("FailAggregate", hub.Action0(func(context.Context) error {
		return typed{"AggregateException", "One or more errors occurred. (one) (two)"}
	}))
}

// handleCallers adds the methods about the caller, and those that wait.
func (l lab) handleCallers(h *hub.Hub) {
	h.Handle("Transport", hub.Func0(func(ctx context.Context) (string, error) { return hub.CallerFrom(ctx).Transport(), nil }))
	h.Handle("UserId", hub.Func0(func(ctx context.Context) (*string, error) {
		if id := hub.CallerFrom(ctx).UserID(); id != "" {
			return &id, nil
		}
		return nil, nil //nolint:nilnil // an anonymous user
	}))
	h.Handle("OnlyWithToken", hub.Func0(func(context.Context) (string, error) { return "allowed", nil }).Authorize())
	h.Handle("Wait", hub.Func2(l.wait))
	h.Handle("WaitOrCancel", hub.Func2(l.waitOrCancel))
	h.Handle("SendThenWait", hub.Func2(func(ctx context.Context, ms int, s string) (string, error) {
		if err := l.clients.Caller(ctx).Send(ctx, "Started", s); err != nil {
			return "", err
		}
		return l.wait(ctx, ms, s)
	}))
	h.Handle("Abort", hub.Action0(func(ctx context.Context) error {
		hub.CallerFrom(ctx).Abort()
		return nil
	}))
	h.Handle("AbortAndReturn", hub.Func0(func(ctx context.Context) (string, error) {
		hub.CallerFrom(ctx).Abort()
		return "after", nil
	}))
	h.Handle("AskMe", hub.Func1(func(ctx context.Context, target string) (string, error) {
		return ask(ctx, l.clients.Caller(ctx), target)
	}))
	h.Handle("AskOther", hub.Func2(func(ctx context.Context, id, target string) (string, error) {
		return ask(ctx, l.clients.Client(id), target)
	}))
	h.Handle("AskMeText", hub.Func1(func(ctx context.Context, target string) (string, error) {
		answer, err := hub.Invoke[*string](ctx, l.clients.Caller(ctx), target)
		if err == nil && answer == nil {
			return "got null", nil
		}
		return "got " + text(answer), err
	}))
}

// wait ignores ctx, as ASP.NET Core's method does: the tests observe a connection that ends
// while its method runs.
func (l lab) wait(_ context.Context, ms int, s string) (string, error) {
	<-time.After(time.Duration(ms) * time.Millisecond)
	return s, nil
}

// waitOrCancel is like wait, but returns when ctx ends. It then sends Cancelled to its
// caller, or fails if s is "throw".
func (l lab) waitOrCancel(ctx context.Context, ms int, s string) (string, error) {
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return s, nil
	case <-ctx.Done():
	}
	if s == "throw" {
		return "", typed{"TaskCanceledException", "A task was canceled."}
	}
	later := context.WithoutCancel(ctx)
	return s + " cancelled", l.clients.Caller(later).Send(later, "Cancelled", s)
}

func ask(ctx context.Context, client hub.Sender, target string) (string, error) {
	n, err := hub.Invoke[int32](ctx, client, target, 7)
	return "got " + strconv.Itoa(int(n)), err
}

func (l lab) handleGroups(h *hub.Hub) {
	h.Handle("All", hub.Action1(func(ctx context.Context, s *string) error { return l.clients.All().Send(ctx, "All", s) }))
	h.Handle("Others", hub.Action1(func(ctx context.Context, s *string) error { return l.clients.Others(ctx).Send(ctx, "Others", s) }))
	h.Handle("Join", hub.Action1(func(ctx context.Context, group string) error {
		return h.Groups().Add(ctx, hub.CallerFrom(ctx).ConnectionID(), group)
	}))
	h.Handle("Group", hub.Action2(func(ctx context.Context, group string, s *string) error {
		return l.clients.Group(group).Send(ctx, "Group", s)
	}))
}
