package hub_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
)

// A panic around an invocation ends that invocation; the client goes on.
func TestPanicsEndOneInvocation(t *testing.T) {
	panics := hub.Filter{Invoke: func(ctx context.Context, inv *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
		switch inv.Method {
		case "BeforeFilter":
			panic("before")
		case "AfterFilter":
			_, _ = next(ctx)
			panic("after")
		}
		return next(ctx)
	}}
	h := newLab(hub.Options{Filters: []hub.Filter{panics}})
	nothing := func(context.Context) error { return nil }
	h.Handle("BeforeFilter", hub.Action0(nothing))
	h.Handle("AfterFilter", hub.Action0(nothing))
	h.Handle("Policy", hub.Action0(nothing).Authorize(func(context.Context, *auth.User) error { panic("policy") }))
	h.Handle("StreamPolicy", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) { return nil, nil }).
		Authorize(func(context.Context, *auth.User) error { panic("policy") }))
	h.Handle("NoStream", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) { panic("no stream") }))
	h.Handle("NilError", hub.Action0(func(context.Context) error { return (*nilError)(nil) }))
	h.Handle("StreamedNilError", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) { yield(0, (*nilError)(nil)) }, nil
	}))
	h.Handle("Reader", hub.Func1(func(_ context.Context, numbers hub.Upload[int]) (int, error) {
		for range numbers.All() {
			panic("reader")
		}
		return 0, nil
	}))
	h.Handle("StreamedReader", hub.Stream1(func(_ context.Context, numbers hub.Upload[int]) (iter.Seq2[int, error], error) {
		return func(func(int, error) bool) {
			for range numbers.All() {
				panic("reader")
			}
		}, nil
	}))
	c := connect(t, h, clientOptions{user: "ann"})
	for _, step := range []struct {
		sent []string
		got  string
	}{
		{[]string{call("1", "BeforeFilter", "")}, failed("1", "An unexpected error occurred invoking 'BeforeFilter' on the server.")},
		{[]string{call("1", "AfterFilter", "")}, failed("1", "An unexpected error occurred invoking 'AfterFilter' on the server.")},
		{[]string{call("1", "Policy", "")}, failed("1", "An unexpected error occurred invoking 'Policy' on the server.")},
		{[]string{stream("1", "StreamPolicy", "")}, failed("1", "An unexpected error occurred invoking 'StreamPolicy' on the server.")},
		{[]string{stream("1", "NoStream", "")}, failed("1", "An unexpected error occurred invoking 'NoStream' on the server.")},
		{[]string{call("1", "NilError", "")}, failed("1", "An unexpected error occurred invoking 'NilError' on the server.")},
		{[]string{stream("1", "StreamedNilError", "")}, failed("1", "An error occurred on the server while streaming results.")},
		{
			[]string{`{"type":1,"invocationId":"1","target":"Reader","arguments":[],"streamIds":["u"]}`, `{"type":2,"invocationId":"u","item":1}`},
			failed("1", "An unexpected error occurred invoking 'Reader' on the server."),
		},
		{
			[]string{`{"type":4,"invocationId":"1","target":"StreamedReader","arguments":[],"streamIds":["u"]}`, `{"type":2,"invocationId":"u","item":1}`},
			failed("1", "An error occurred on the server while streaming results."),
		},
	} {
		c.send(step.sent...)
		c.want(step.got)
		c.send(call("2", "Text", `"on"`))
		c.want(result("2", `"on"`))
	}
}

// A panic around the beginning or the end of a connection ends that one.
func TestPanicsEndOneConnection(t *testing.T) {
	for name, prepare := range map[string]func(*hub.Options) func(*hub.Hub){
		"OnDisconnected": func(*hub.Options) func(*hub.Hub) {
			return func(h *hub.Hub) { h.OnDisconnected(func(context.Context, error) { panic("end") }) }
		},
		"a filter of the end": func(o *hub.Options) func(*hub.Hub) {
			o.Filters = []hub.Filter{{Disconnect: func(context.Context, error, func(context.Context, error)) { panic("end") }}}
			return func(*hub.Hub) {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var o hub.Options
			register := prepare(&o)
			h := newLab(o)
			register(h)
			c, other := connect(t, h, clientOptions{id: "1"}), connect(t, h, clientOptions{id: "2"})
			c.close()
			other.send(call("1", "Text", `"x"`))
			other.want(result("1", `"x"`))
		})
	}
	filter := hub.Filter{Connect: func(ctx context.Context, next func(context.Context) error) error {
		if hub.CallerFrom(ctx).ConnectionID() == "1" {
			panic("begin")
		}
		return next(ctx)
	}}
	h := newLab(hub.Options{Filters: []hub.Filter{filter}})
	c := dial(t, h, clientOptions{id: "1"})
	c.send(`{"protocol":"json","version":1}`)
	c.want(`{}`, `{"type":7,"error":"Connection closed with an error."}`)
	c.wantEnd()
	other := connect(t, h, clientOptions{id: "2"})
	other.send(call("1", "Text", `"x"`))
	other.want(result("1", `"x"`))
}

// nilError panics when a nil pointer to it is asked for its text, as many errors do.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }
func (e *nilError) Unwrap() error { return errors.New(e.text) }

// Its errors are looked into when a stream was cancelled.
func TestPanicOfACancelledStreamsError(t *testing.T) {
	h := newLab(hub.Options{})
	h.Handle("UntilCancelled", hub.Stream0(func(ctx context.Context) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			yield(1, nil)
			<-ctx.Done()
			yield(0, (*nilError)(nil))
		}, nil
	}))
	c := connect(t, h, clientOptions{})
	c.send(stream("1", "UntilCancelled", ""))
	c.want(item("1", "1"))
	c.send(cancel("1"))
	c.want(failed("1", "An error occurred on the server while streaming results."))
}
