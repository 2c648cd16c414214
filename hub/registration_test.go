package hub_test

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
)

// Every function that was given to Authorize has to agree; the first refusal wins.
func TestAuthorizationAddsUp(t *testing.T) {
	h := newLab(hub.Options{})
	var asked []string
	policy := func(name string, answer error) auth.Policy {
		return func(context.Context, *auth.User) error { asked = append(asked, name); return answer }
	}
	nothing := func() hub.Method { return hub.Action0(func(context.Context) error { return nil }) }
	base := nothing().Authorize(policy("a", nil))
	h.Handle("Both", base.Authorize(policy("b", nil)))
	h.Handle("Second", base.Authorize(policy("no", auth.ErrForbidden)).Authorize(policy("never", nil)))
	h.Handle("First", nothing().Authorize(policy("no", auth.ErrForbidden)).Authorize(policy("never", nil)))
	h.Handle("Streamed", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) { panic("it is not called") }).
		Authorize(policy("no", auth.ErrForbidden)).Authorize(policy("never", nil)))
	c := connect(t, h, clientOptions{user: "ann"})
	refused := func(name string) string {
		return failed("1", "Failed to invoke '"+name+"' because user is unauthorized")
	}
	for _, step := range []struct {
		sent, want string
		asked      []string
	}{
		{call("1", "Both", ""), result("1", "null"), []string{"a", "b"}},
		{call("1", "Second", ""), refused("Second"), []string{"a", "no"}},
		{call("1", "First", ""), refused("First"), []string{"no"}},
		{stream("1", "Streamed", ""), refused("Streamed"), []string{"no"}},
	} {
		asked = nil
		c.send(step.sent)
		c.want(step.want)
		if !slices.Equal(asked, step.asked) {
			t.Errorf("%s: asked %v, want %v", step.sent, asked, step.asked)
		}
	}
}

type (
	selfContained struct {
		Next  *selfContained
		Named map[string][]selfContained
	}
	withChannel struct{ Inner struct{ C chan int } }
	leftOut     struct {
		C chan int `json:"-"`
	}
	structKey     struct{ A int }
	textInterface interface{ Text() string }
)

func action[A any]() hub.Method { return hub.Action1(func(context.Context, A) error { return nil }) }

func function[R any]() hub.Method {
	return hub.Func0(func(context.Context) (r R, err error) { return r, nil })
}

func streaming[T any]() hub.Method {
	return hub.Stream0(func(context.Context) (iter.Seq2[T, error], error) { return nil, nil })
}

// A registration that cannot work panics, and says where it stands.
func TestRegistrationsThatPanic(t *testing.T) {
	nothing := func(context.Context) error { return nil }
	method := func(m hub.Method) func(h *hub.Hub) { return func(h *hub.Hub) { h.Handle("M", m) } }
	for name, register := range map[string]func(h *hub.Hub){
		"an unknown protocol":          func(*hub.Hub) { hub.New(hub.Options{Protocols: []string{"xml"}}) },
		"a protocol twice":             func(*hub.Hub) { hub.New(hub.Options{Protocols: []string{"json", "messagepack", "JSON"}}) },
		"an empty name":                func(h *hub.Hub) { h.Handle("", hub.Action0(nothing)) },
		"a zero method":                method(hub.Method{}),
		"a nil function":               method(hub.Action0(nil)),
		"a nil function with a result": method(hub.Func1[int, int](nil)),
		"a nil stream":                 method(hub.Stream2[int, int, int](nil)),
		"a name that is taken":         func(h *hub.Hub) { h.Handle("tEXT", hub.Action0(nothing)) },
		"no authorization":             func(*hub.Hub) { hub.Action0(nothing).Authorize(nil) },
		"authorization of no method":   func(h *hub.Hub) { h.Authorize("Nothing") },
		"a nil policy of a hub":        func(*hub.Hub) { hub.New(hub.Options{Authorize: []auth.Policy{nil}}) },
		"a nil policy of a method":     func(h *hub.Hub) { h.Authorize("Text", nil) },
		"a second OnConnected":         func(h *hub.Hub) { h.OnConnected(nothing); h.OnConnected(nothing) },
		"no OnConnected":               func(h *hub.Hub) { h.OnConnected(nil) },
		"a second OnDisconnected": func(h *hub.Hub) {
			h.OnDisconnected(func(context.Context, error) {})
			h.OnDisconnected(func(context.Context, error) {})
		},
		"no OnDisconnected":                func(h *hub.Hub) { h.OnDisconnected(nil) },
		"no OnAuthenticationRefreshed":     func(h *hub.Hub) { h.OnAuthenticationRefreshed(nil) },
		"another history":                  func(h *hub.Hub) { h.KeepEvents(1, 1); h.KeepEvents(2, 1) },
		"a channel":                        method(action[chan int]()),
		"a function":                       method(action[func()]()),
		"a complex number":                 method(action[complex128]()),
		"an interface":                     method(action[textInterface]()),
		"an error":                         method(action[error]()),
		"a channel in a list":              method(action[[]chan int]()),
		"a channel behind a pointer":       method(action[*chan int]()),
		"a channel in a field":             method(action[withChannel]()),
		"a map with structs for keys":      method(action[map[structKey]int]()),
		"a map to functions":               method(action[map[string]func()]()),
		"the second parameter":             method(hub.Func2(func(context.Context, int, chan int) (int, error) { return 0, nil })),
		"items of an upload":               method(action[hub.Upload[chan int]]()),
		"an upload behind a pointer":       method(action[*hub.Upload[int]]()),
		"a result that is a channel":       method(function[chan int]()),
		"a result with a function":         method(function[map[string][]func()]()),
		"a result with structs for keys":   method(function[map[structKey]int]()),
		"a result that is an upload":       method(function[hub.Upload[int]]()),
		"a stream of channels":             method(streaming[chan int]()),
		"a stream of structs with channel": method(streaming[*withChannel]()),
	} {
		t.Run(name, func(t *testing.T) {
			text := panicOf(func() { register(newLab(hub.Options{})) })
			if !regexp.MustCompile(`^hub: \S*registration_test\.go:\d+: `).MatchString(text) {
				t.Errorf("got %q", text)
			}
		})
	}
}

func panicOf(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

func TestRegistrationAfterTheFirstConnection(t *testing.T) {
	h := newLab(hub.Options{})
	connect(t, h, clientOptions{})
	text := panicOf(func() { h.Handle("Late", action[int]()) })
	if !strings.Contains(text, "registration_test.go:") {
		t.Errorf("got %q", text)
	}
}

// Whatever the protocols know is registered.
func TestRegistrationsOfUnusualTypes(t *testing.T) {
	h := newLab(hub.Options{})
	for i, m := range []hub.Method{
		action[any](), action[map[int]any](), action[selfContained](), action[leftOut](), action[hub.Upload[any]](),
		function[any](), function[error](), function[[]textInterface](), function[selfContained](), streaming[error](),
		action[[16]byte](), action[*uintptr](), function[map[uint8]float32](),
	} {
		h.Handle(fmt.Sprint("M", i), m)
	}
	h.KeepEvents(10, 1000)
	h.KeepEvents(10, 1000) // by a second endpoint
	packed := hub.New(hub.Options{Protocols: []string{"messagepack"}})
	packed.Handle("M", action[map[structKey]int]())
}
