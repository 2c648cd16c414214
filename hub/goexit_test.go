package hub_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
)

// exit ends the goroutine, as FailNow of a test does.
func exit() { runtime.Goexit() }

// exiting ends the goroutine that encodes or decodes it.
type exiting struct{ N int }

func (exiting) MarshalJSON() ([]byte, error)      { exit(); return nil, nil }
func (*exiting) UnmarshalJSON([]byte) error       { exit(); return nil }
func (exiting) MarshalText() ([]byte, error)      { exit(); return nil, nil }
func (*exiting) UnmarshalText([]byte) error       { exit(); return nil }
func (exiting) MarshalMsg([]byte) ([]byte, error) { exit(); return nil, nil }

// exitingError ends the goroutine that looks at it.
type exitingError struct{}

func (exitingError) Error() string { exit(); return "" }

// refusing is not decoded, for a reason that ends the goroutine that asks for it.
type refusing struct{}

func (*refusing) UnmarshalJSON([]byte) error { return exitingError{} }

const unbound = "InvalidDataException: Error binding arguments. " +
	"Make sure that the types of the provided values match the types of the hub method being invoked."

const exited = "Exception: panic: the code called runtime.Goexit"

func newExitingLab() *hub.Hub {
	filter := hub.Filter{Invoke: func(ctx context.Context, inv *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
		if inv.Method == "Filtered" {
			exit()
		}
		return next(ctx)
	}}
	h := newLab(hub.Options{DetailedErrors: true, Filters: []hub.Filter{filter}})
	nothing := func(context.Context) error { return nil }
	h.Handle("Filtered", hub.Action0(nothing))
	h.Handle("Method", hub.Action0(func(context.Context) error { exit(); return nil }))
	h.Handle("Policy", hub.Action0(nothing).Authorize(func(context.Context, *auth.User) error { exit(); return nil }))
	h.Handle("Error", hub.Action0(func(context.Context) error { return exitingError{} }))
	h.Handle("Argument", hub.Action1(func(context.Context, exiting) error { return nil }))
	h.Handle("Refusing", hub.Action1(func(context.Context, refusing) error { return nil }))
	h.Handle("Key", hub.Action1(func(context.Context, map[exiting]int) error { return nil }))
	h.Handle("Sends", hub.Action0(func(ctx context.Context) error { return h.Clients().All().Send(ctx, "M", exiting{}) }))
	h.Handle("Asks", hub.Func0(func(ctx context.Context) (exiting, error) {
		return hub.Invoke[exiting](ctx, h.Clients().Caller(ctx), "Give")
	}))
	h.Handle("Reader", hub.Func1(func(_ context.Context, numbers hub.Upload[int]) (int, error) {
		for range numbers.All() {
			exit()
		}
		return 0, nil
	}))
	h.Handle("Item", hub.Func1(func(_ context.Context, items hub.Upload[exiting]) (string, error) {
		for _, err := range items.All() {
			return err.Error(), nil
		}
		return "", nil
	}))
	h.Handle("NoStream", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) { exit(); return nil, nil }))
	h.Handle("Stream", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) { yield(1, nil); exit() }, nil
	}))
	h.Handle("StreamPolicy", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) { return nil, nil }).
		Authorize(func(context.Context, *auth.User) error { exit(); return nil }))
	return h
}

// A call of runtime.Goexit counts as a panic: it ends one invocation, and the next ones run.
func TestGoexitEndsOneInvocation(t *testing.T) {
	unexpected := func(name string) string {
		return failed("1", "An unexpected error occurred invoking '"+name+"' on the server. "+exited)
	}
	h := newExitingLab()
	c := connect(t, h, clientOptions{user: "ann"})
	for _, step := range []struct {
		sent []string
		want []string
	}{
		{[]string{call("1", "Filtered", "")}, []string{unexpected("Filtered")}},
		{[]string{call("1", "Method", "")}, []string{unexpected("Method")}},
		{[]string{call("1", "Policy", "")}, []string{unexpected("Policy")}},
		{[]string{call("1", "Error", "")}, []string{unexpected("Error")}},
		{[]string{call("1", "Sends", "")}, []string{unexpected("Sends")}},
		{[]string{call("1", "Argument", "1")}, []string{failed("1", "Failed to invoke 'Argument' due to an error on the server. "+exited)}},
		{[]string{call("1", "Refusing", "1")}, []string{failed("1", "Failed to invoke 'Refusing' due to an error on the server. "+unbound)}},
		{[]string{call("1", "Key", `{"a":1}`)}, []string{failed("1", "Failed to invoke 'Key' due to an error on the server. "+exited)}},
		{[]string{callWith("1", "Reader", "", `"u"`), item("u", "1")}, []string{unexpected("Reader")}},
		{[]string{callWith("1", "Item", "", `"u"`), item("u", "1")}, []string{result("1", `"Failed to bind Stream message. `+exited+`"`)}},
		{[]string{stream("1", "NoStream", "")}, []string{unexpected("NoStream")}},
		{[]string{stream("1", "StreamPolicy", "")}, []string{unexpected("StreamPolicy")}},
		{
			[]string{stream("1", "Stream", "")},
			[]string{item("1", "1"), failed("1", "An error occurred on the server while streaming results. "+exited)},
		},
	} {
		t.Log(step.sent[0])
		// What comes behind it in the line runs, too, although nothing is sent any more.
		c.send(append(step.sent, call("2", "Text", `"on"`), call("3", "Text", `"on"`))...)
		got := map[string]bool{}
		for range len(step.want) + 2 {
			got[c.next()] = true
		}
		for _, want := range append(step.want, result("2", `"on"`), result("3", `"on"`)) {
			if !got[want] {
				t.Fatalf("got %v, not %s", got, want)
			}
		}
	}
	c.send(call("1", "Asks", ""))
	c.send(result(c.question("Give"), "1"))
	c.want(unexpected("Asks"))
	c.close()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A result that cannot be encoded ends the connection, whatever keeps it from that.
func TestGoexitOfAnEncoder(t *testing.T) {
	for name, sent := range map[string]string{"Result": call("1", "Result", ""), "Items": stream("1", "Items", "")} {
		t.Run(name, func(t *testing.T) {
			h := newLab(hub.Options{DetailedErrors: true})
			h.Handle("Result", hub.Func0(func(context.Context) (exiting, error) { return exiting{}, nil }))
			h.Handle("Items", hub.Stream0(func(context.Context) (iter.Seq2[exiting, error], error) {
				return func(yield func(exiting, error) bool) { yield(exiting{}, nil) }, nil
			}))
			c := connect(t, h, clientOptions{})
			c.send(sent)
			c.want(`{"type":7,"error":"Connection closed with an error. ` + exited + `","allowReconnect":true}`)
			c.wantEnd()
		})
	}
}

// The beginning and the end of a connection end alike.
func TestGoexitAtBothEndsOfAConnection(t *testing.T) {
	connected := func(h *hub.Hub) { h.OnConnected(func(context.Context) error { exit(); return nil }) }
	disconnected := func(h *hub.Hub) { h.OnDisconnected(func(context.Context, error) { exit() }) }
	for name, lab := range map[string]struct {
		filter   hub.Filter
		register func(h *hub.Hub)
		refuses  bool
	}{
		"OnConnected":       {register: connected, refuses: true},
		"OnDisconnected":    {register: disconnected},
		"a connect filter":  {filter: hub.Filter{Connect: func(context.Context, func(context.Context) error) error { exit(); return nil }}, refuses: true},
		"a farewell filter": {filter: hub.Filter{Disconnect: func(context.Context, error, func(context.Context, error)) { exit() }}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newLab(hub.Options{Filters: []hub.Filter{lab.filter}})
			if lab.register != nil {
				lab.register(h)
			}
			c := connect(t, h, clientOptions{})
			if lab.refuses {
				c.want(`{"type":7,"error":"Connection closed with an error."}`)
				c.wantEnd()
			} else {
				c.send(call("1", "Text", `"x"`))
				c.want(result("1", `"x"`))
			}
			c.close()
			if err := h.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// stubborn heeds no context until it is released.
type stubborn struct{ released chan struct{} }

func (s *stubborn) wait() { <-s.released }

// holding holds up what decodes it.
type holding struct{}

var heldUp = make(chan chan struct{}, 1)

func (*holding) UnmarshalJSON([]byte) error { <-<-heldUp; return nil }

// Shutdown ends with its context, whatever does not end.
func TestShutdownDespiteCodeThatHeedsNoContext(t *testing.T) {
	for name, send := range map[string][]string{
		"a method":       {call("1", "Method", "")},
		"a stream":       {stream("1", "Stream", "")},
		"an iterator":    {stream("1", "Iterator", "")},
		"a reader":       {callWith("1", "Reader", "", `"u"`), item("u", "1")},
		"a policy":       {call("1", "Policy", "")},
		"a filter":       {call("1", "Filtered", "")},
		"a decoder":      {call("1", "Argument", "1")},
		"OnConnected":    nil,
		"OnDisconnected": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &stubborn{make(chan struct{})}
				defer synctest.Wait()
				defer close(s.released)
				h := s.hub(name)
				c := dial(t, h, clientOptions{user: "ann"})
				c.send(`{"protocol":"json","version":1}`)
				c.want(`{}`)
				if strings.Contains(name, "decoder") {
					heldUp <- s.released
				}
				if send != nil {
					c.send(send...)
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := h.Drain(ctx, 0); err != nil {
					t.Error(err)
				}
				if err := h.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		})
	}
}

func (s *stubborn) hub(name string) *hub.Hub {
	filter := hub.Filter{Invoke: func(ctx context.Context, inv *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
		if inv.Method == "Filtered" {
			s.wait()
		}
		return next(ctx)
	}}
	h := newLab(hub.Options{Filters: []hub.Filter{filter}})
	nothing := func(context.Context) error { return nil }
	h.Handle("Method", hub.Action0(func(context.Context) error { s.wait(); return nil }))
	h.Handle("Filtered", hub.Action0(nothing))
	h.Handle("Policy", hub.Action0(nothing).Authorize(func(context.Context, *auth.User) error { s.wait(); return nil }))
	h.Handle("Argument", hub.Action1(func(context.Context, holding) error { return nil }))
	h.Handle("Stream", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) { s.wait(); return nil, nil }))
	h.Handle("Iterator", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) {
		return func(func(int, error) bool) { s.wait() }, nil
	}))
	h.Handle("Reader", hub.Action1(func(_ context.Context, numbers hub.Upload[int]) error {
		for range numbers.All() {
			s.wait()
		}
		return nil
	}))
	switch name {
	case "OnConnected":
		h.OnConnected(func(context.Context) error { s.wait(); return nil })
	case "OnDisconnected":
		h.OnDisconnected(func(context.Context, error) { s.wait() })
	}
	return h
}

// Asking ends with its context, too, while the answer is being decoded.
func TestAskingEndsWithItsContextWhileTheAnswerIsDecoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		released := make(chan struct{})
		h.Handle("Asks", hub.Action0(func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := hub.Invoke[holding](ctx, h.Clients().Caller(ctx), "Give")
			if errors.Is(err, context.DeadlineExceeded) {
				err = hub.NewError("late")
			}
			return err
		}))
		c := connect(t, h, clientOptions{})
		c.send(call("1", "Asks", ""))
		heldUp <- released
		c.send(result(c.question("Give"), "1"))
		c.want(failed("1", "An unexpected error occurred invoking 'Asks' on the server. HubException: late"))
		close(released)
	})
}
