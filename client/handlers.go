package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// handlers by method name. Names are matched without regard to case, as the JavaScript client does.
type handlers struct {
	mu        sync.Mutex
	byName    map[string][]*Handler
	unhandled func(ctx context.Context, method string, args []any) error
}

// On adds a handler for a method that the server invokes on this client. Several handlers of one
// method run in the order in which they were added; only one may give a result: On panics at the
// second. Names have no case. The returned function removes the handler.
//
// Handlers run one at a time, in the order of the server's messages, with a ctx that ends when the
// connection is stopped. An error of a handler goes to the server if that wants a result, and is
// logged otherwise; so is a panic.
func (c *HubConnection) On(method string, h Handler) (remove func()) {
	name := strings.ToLower(method)
	added := &h
	c.handlers.add(name, added)
	return func() { c.handlers.remove(name, added) }
}

// OnUnhandled sets a function for invocations that no handler takes. Its arguments are decoded as
// ActionAny's.
func (c *HubConnection) OnUnhandled(f func(ctx context.Context, method string, args []any) error) {
	c.handlers.mu.Lock()
	defer c.handlers.mu.Unlock()
	c.handlers.unhandled = f
}

func (t *handlers) add(name string, h *Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName == nil {
		t.byName = make(map[string][]*Handler)
	}
	before := t.byName[name]
	if h.answers && slices.ContainsFunc(before, func(b *Handler) bool { return b.answers }) {
		panic(fmt.Sprintf("client: %q has a handler with a result already", name))
	}
	t.byName[name] = append(before[:len(before):len(before)], h) // others may be reading before
}

func (t *handlers) remove(name string, h *Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byName[name] = slices.DeleteFunc(slices.Clone(t.byName[name]), func(b *Handler) bool { return b == h })
	if len(t.byName[name]) == 0 {
		delete(t.byName, name)
	}
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
