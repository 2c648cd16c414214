package hub_test

import (
	"context"
	"iter"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

// Methods, streams and filters read the headers of their own invocation.
func TestHeadersOfAnInvocation(t *testing.T) {
	type key struct{}
	h := hub.New(hub.Options{Filters: []hub.Filter{{
		Invoke: func(ctx context.Context, inv *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
			return next(context.WithValue(ctx, key{}, hub.HeadersFrom(ctx)["h"]+inv.Headers["h"]))
		},
	}}})
	var connected map[string]string
	h.OnConnected(func(ctx context.Context) error {
		connected = hub.HeadersFrom(ctx)
		return nil
	})
	h.Handle("Header", hub.Func0(func(ctx context.Context) (string, error) {
		within, cancel := context.WithCancel(ctx)
		defer cancel()
		return ctx.Value(key{}).(string) + hub.HeadersFrom(within)["h"], nil
	}))
	h.Handle("Headers", hub.Stream0(func(ctx context.Context) (iter.Seq2[string, error], error) {
		return func(yield func(string, error) bool) { yield(ctx.Value(key{}).(string)+hub.HeadersFrom(ctx)["h"], nil) }, nil
	}))
	c := connect(t, h, clientOptions{})
	with := func(record, value string) string {
		return strings.Replace(record, `"target"`, `"headers":{"h":"`+value+`"},"target"`, 1)
	}
	c.send(with(call("1", "Header", ""), "a"), call("2", "Header", ""))
	c.want(result("1", `"aaa"`), result("2", `""`))
	c.send(with(stream("3", "Headers", ""), "b"))
	c.want(item("3", `"bbb"`), end("3"))
	if connected != nil || hub.HeadersFrom(context.Background()) != nil {
		t.Errorf("headers without an invocation: %v", connected)
	}
}
