package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// handlers are the handlers by method name. As in the JavaScript client, names ignore case.
type handlers struct {
	mu        sync.Mutex
	byName    map[string][]*Handler
	unhandled func(ctx context.Context, method string, args []any) error
}

// On adds a handler for a method that the server invokes on this client. Several handlers of one
// method run in the order in which they were added. Only one of them may have a result: On panics
// for a second one, and for the zero Handler. Method names ignore case. remove removes the handler.
//
// Handlers run one at a time, in the order of the server's messages. Their ctx ends when the
// connection is stopped. If the server waits for a result, it gets the error or panic of the
// handler; otherwise the error is logged.
func (c *HubConnection) On(method string, h Handler) (remove func()) {
	if h.serve == nil {
		panic(fmt.Sprintf("client: the handler for %q has no function", method))
	}
	t, name := &c.handlers, strings.ToLower(method)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName == nil {
		t.byName = make(map[string][]*Handler)
	}
	before := t.byName[name]
	if h.answers && slices.ContainsFunc(before, func(b *Handler) bool { return b.answers }) {
		panic(fmt.Sprintf("client: %q has a handler with a result already", name))
	}
	t.byName[name] = append(before[:len(before):len(before)], &h) // others may be reading before
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.byName[name] = slices.DeleteFunc(slices.Clone(t.byName[name]), func(b *Handler) bool { return b == &h })
		if len(t.byName[name]) == 0 {
			delete(t.byName, name)
		}
	}
}

// OnUnhandled sets a function for invocations without a handler. Its arguments are decoded as by
// ActionAny. It panics for a second function, which would replace the first.
func (c *HubConnection) OnUnhandled(f func(ctx context.Context, method string, args []any) error) {
	c.handlers.mu.Lock()
	defer c.handlers.mu.Unlock()
	if c.handlers.unhandled != nil {
		panic("client: there is a function for unhandled invocations already")
	}
	c.handlers.unhandled = f
}

func (t *handlers) forMethod(method string) []*Handler {
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.byName[strings.ToLower(method)]; found != nil {
		return found
	}
	if f := t.unhandled; f != nil {
		h := ActionAny(func(ctx context.Context, args []any) error { return f(ctx, method, args) })
		return []*Handler{&h}
	}
	return nil
}
