package hub_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// newCancelLab makes a hub whose methods wait for the end of their ctx.
func newCancelLab(o hub.Options) *hub.Hub {
	o.DetailedErrors = true
	h := newLab(o)
	h.Handle("Await", hub.Func1(func(ctx context.Context, s string) (string, error) {
		<-ctx.Done()
		return s + ": " + ctx.Err().Error() + ": " + context.Cause(ctx).Error(), nil
	}))
	h.Handle("Asks", hub.Func0(func(ctx context.Context) (bool, error) { return ctx.Err() != nil, nil }))
	h.Handle("Derive", hub.Func0(func(ctx context.Context) (string, error) {
		within, stop := context.WithTimeout(ctx, time.Hour)
		defer stop()
		<-within.Done()
		return fmt.Sprint(within.Err(), ", ", context.Cause(within)), nil
	}))
	return h
}

func awaited(id, s string) string { return result(id, `"`+s+`: context canceled: context canceled"`) }

func TestCancelledInvocations(t *testing.T) {
	c := connect(t, newCancelLab(hub.Options{}), clientOptions{})
	for range 100 {
		c.send(call("1", "Await", `"a"`), cancel("1"))
		c.want(awaited("1", "a"))
		c.send(call("1", "Derive", ""), cancel("1"), cancel("1"), cancel("nobody"))
		c.want(result("1", `"context canceled, context canceled"`))
		c.send(call("1", "AskMe", `"Q"`))
		c.next()
		c.send(cancel("1"))
		c.want(failed("1", "An unexpected error occurred invoking 'AskMe' on the server. Exception: context canceled"))
		c.send(callWith("1", "Concat", "", `"u"`), cancel("1"))
		c.want(failed("1", "An unexpected error occurred invoking 'Concat' on the server. Exception: context canceled"))
		c.send(call("1", "Asks", ""))
		c.want(result("1", "false"))
	}
}

// An invocation that is cancelled while it waits for its turn runs all the same, and so do
// the others.
func TestCancelledWhileItWaitsForItsTurn(t *testing.T) {
	c := connect(t, newCancelLab(hub.Options{}), clientOptions{})
	c.send(call("1", "Await", `"a"`), call("2", "Await", `"b"`), call("3", "Await", `"c"`), call("4", "Text", `"d"`), call("5", "Asks", ""), call("6", "Asks", ""))
	c.send(cancel("3"), cancel("4"), cancel("2"), cancel("6"), cancel("1"))
	c.want(awaited("1", "a"), awaited("2", "b"), awaited("3", "c"), result("4", `"d"`), result("5", "false"), result("6", "true"))
}

// Of several invocations with one id that wait for their turn the last is cancelled, as in
// the original; each runs.
func TestQueuedInvocationsWithOneID(t *testing.T) {
	c := connect(t, newCancelLab(hub.Options{}), clientOptions{})
	c.send(call("0", "Await", `"a"`), call("1", "Asks", ""), call("1", "Asks", ""), cancel("1"), cancel("0"))
	c.want(awaited("0", "a"), result("1", "false"), result("1", "true"))
}

func TestInvocationIDOfOneThatRuns(t *testing.T) {
	const used = "Invocation ID '1' is already in use."
	c := connect(t, newCancelLab(hub.Options{MaxParallelInvocations: 3}), clientOptions{})
	for range 100 {
		c.send(call("1", "Await", `"a"`), call("1", "Await", `"b"`), call("2", "Text", `"x"`))
		c.wantInAnyOrder(failed("1", used), result("2", `"x"`))
		c.send(callWith("1", "Upload", "", `"u"`))
		c.want(failed("1", used))
		c.send(`{"type":1,"target":"Text","arguments":["no id"]}`, cancel("1"))
		c.want(awaited("1", "a"))
		c.send(call("1", "Text", `"free"`))
		c.want(result("1", `"free"`))
		c.send(callWith("1", "Upload", "", `"u"`))
		c.send(callWith("1", "Upload", "", `"v"`), call("1", "Text", `"x"`))
		c.want(failed("1", used), failed("1", used))
		c.send(end("u"))
		c.want(result("1", `""`))
	}
}

// A plain invocation and a stream may have the same id: that is so in the original. A
// cancellation is for both.
func TestInvocationAndStreamWithOneID(t *testing.T) {
	c := connect(t, newCancelLab(hub.Options{}), clientOptions{})
	for range 100 {
		c.send(stream("1", "Channel", ""), call("1", "Await", `"a"`), cancel("1"))
		c.wantInAnyOrder(end("1"), awaited("1", "a"))
	}
}

// While an invocation waits for its own client the next one runs, so that its id can meet
// that of the first.
func TestInvocationIDOfOneThatWaitsForItsClient(t *testing.T) {
	c := connect(t, newCancelLab(hub.Options{}), clientOptions{})
	c.send(call("1", "AskMe", `"Q"`))
	c.next()
	c.send(call("1", "Text", `"x"`))
	c.want(failed("1", "Invocation ID '1' is already in use."))
	c.send(cancel("1"))
	c.want(failed("1", "An unexpected error occurred invoking 'AskMe' on the server. Exception: context canceled"))
	c.send(call("1", "Text", `"y"`))
	c.want(result("1", `"y"`))
}

// The return of a method does not end its ctx: goroutines that it started go on with it
// until the session ends. A cancellation that comes later is for nobody.
func TestContextOutlivesItsMethod(t *testing.T) {
	for _, method := range []string{"Plain", "WithUpload", "Filtered"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newCancelLab(hub.Options{})
				if method == "Filtered" {
					h = newCancelLab(hub.Options{Filters: []hub.Filter{{Invoke: addValue}}})
				}
				ended := make(chan string, 4)
				start := func(ctx context.Context) error {
					derived, stop := context.WithCancel(ctx)
					_ = stop // the session ends it
					waitFor(ended, ctx, derived)
					context.AfterFunc(ctx, func() { ended <- "func" })
					return nil
				}
				h.Handle(method, hub.Action0(start))
				if method == "WithUpload" {
					h.Handle(method+"s", hub.Action1(func(ctx context.Context, _ hub.Upload[int]) error { return start(ctx) }))
				}
				c := connect(t, h, clientOptions{})
				if method == "WithUpload" {
					c.send(callWith("1", method+"s", "", `"u"`))
				} else {
					c.send(call("1", method, ""))
				}
				c.want(result("1", "null"))
				c.send(cancel("1"))
				for range 3 {
					runtime.GC()
				}
				synctest.Wait()
				if len(ended) > 0 {
					t.Fatal("it ended with its method, or later: ", <-ended)
				}
				c.close()
				synctest.Wait()
				if len(ended) != 3 {
					t.Fatalf("%d of 3 saw the end of the session", len(ended))
				}
			})
		})
	}
}

// waitFor has goroutines wait that know nothing but the channels.
func waitFor(ended chan<- string, contexts ...context.Context) {
	for _, ctx := range contexts {
		done := ctx.Done()
		go func() {
			<-done
			ended <- "channel"
		}()
	}
}

type valueKey struct{}

func addValue(ctx context.Context, _ *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
	return next(context.WithValue(ctx, valueKey{}, "v"))
}

// Filters have the ctx of the invocation.
func TestFiltersSeeTheCancellation(t *testing.T) {
	seen := make(chan error, 1)
	c := connect(t, newCancelLab(hub.Options{Filters: []hub.Filter{
		{Invoke: addValue},
		{Invoke: func(ctx context.Context, _ *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
			result, err := next(ctx)
			seen <- ctx.Err()
			return result, err
		}},
	}}), clientOptions{})
	c.send(call("1", "Await", `"a"`), cancel("1"))
	c.want(awaited("1", "a"))
	if err := <-seen; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The ctx of an invocation keeps the rules of contexts: its causes, its functions, and that
// it is told apart from others of the same session.
func TestContextOfAnInvocation(t *testing.T) {
	cause := errors.New("the end of the connection")
	contexts := make(chan context.Context, 2)
	h := newCancelLab(hub.Options{})
	h.Handle("Give", hub.Action0(func(ctx context.Context) error {
		contexts <- ctx
		return nil
	}))
	h.Handle("Hold", hub.Action0(func(ctx context.Context) error {
		contexts <- ctx
		<-ctx.Done()
		return nil
	}))
	c := connect(t, h, clientOptions{})
	c.send(call("1", "Give", ""), call("2", "Hold", ""))
	kept, held := <-contexts, <-contexts
	var ran atomic.Int32
	after := func(ctx context.Context) func() bool {
		return ctx.(interface{ AfterFunc(func()) func() bool }).AfterFunc(func() { ran.Add(1) })
	}
	if stop := after(held); !stop() || stop() {
		t.Error("a function that has not begun can be stopped once")
	}
	after(held)
	stop := after(kept)
	if _, ok := held.Deadline(); ok || held.Done() == kept.Done() {
		t.Error("a channel of its own and no deadline")
	}
	c.want(result("1", "null"))
	c.send(cancel("2"))
	c.want(result("2", "null"))
	for ran.Load() == 0 {
		runtime.Gosched()
	}
	if !errors.Is(context.Cause(held), context.Canceled) || kept.Err() != nil || context.Cause(kept) != nil {
		t.Error(context.Cause(held), kept.Err(), context.Cause(kept))
	}
	c.leave(cause)
	<-kept.Done()
	for ran.Load() < 2 {
		runtime.Gosched()
	}
	if !errors.Is(context.Cause(kept), cause) || !errors.Is(kept.Err(), context.Canceled) || !errors.Is(context.Cause(held), context.Canceled) || stop() {
		t.Error(context.Cause(kept), kept.Err(), context.Cause(held))
	}
	if again := after(kept); again() {
		t.Error("it runs at once")
	}
}

// Contexts that are derived from that of an invocation start no goroutine.
func TestDerivedContextsStartNoGoroutine(t *testing.T) {
	const derived = 100
	h := newLab(hub.Options{Filters: []hub.Filter{{Invoke: addValue}}})
	h.Handle("Derive", hub.Func0(func(ctx context.Context) (int, error) {
		before := runtime.NumGoroutine()
		for range derived {
			_, stop := context.WithCancel(ctx)
			defer stop()
		}
		return runtime.NumGoroutine() - before, nil
	}))
	c := connect(t, h, clientOptions{})
	c.send(call("1", "Derive", ""))
	var more int
	if _, err := fmt.Sscanf(c.next(), `{"type":3,"invocationId":"1","result":%d`, &more); err != nil || more > derived/2 {
		t.Errorf("%d goroutines more, %v", more, err)
	}
}

// What asks for the end of its ctx and returns leaves nothing behind, though the session
// goes on.
func TestReturnedInvocationsAreForgotten(t *testing.T) {
	h := newLab(hub.Options{MaxInvocationsPerSecond: -1})
	h.Handle("Ask", hub.Action0(func(ctx context.Context) error {
		derived, stop := context.WithCancel(ctx)
		defer stop()
		return errors.Join(ctx.Err(), derived.Err(), context.Cause(derived))
	}))
	c := connect(t, h, clientOptions{})
	ask := func(n int) uint64 {
		for range n {
			c.send(call("1", "Ask", ""))
			c.want(result("1", "null"))
		}
		return heap()
	}
	before := ask(1000)
	if after := ask(20_000); after > before+500_000 {
		t.Errorf("%d bytes, then %d", before, after)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Cancelled invocations of many clients, in all their places, leave no goroutine, no id and
// no memory behind.
func TestCancelledInvocationsLeaveNothingBehind(t *testing.T) {
	h := newCancelLab(hub.Options{MaxParallelInvocations: 4, MaxInvocationsPerSecond: -1, MaxStreams: 4})
	clients := make([]*client, 100)
	for i := range clients {
		clients[i] = connect(t, h, clientOptions{id: strconv.Itoa(i)})
	}
	round := func(times int) (goroutines int, bytes uint64) {
		var all sync.WaitGroup
		for _, c := range clients {
			all.Go(func() { cancelMany(c, times) })
		}
		all.Wait()
		for _, c := range clients { // each id is free, so nothing runs
			c.send(call("1", "Asks", ""), call("2", "Asks", ""), streamWith("3", "Double", `"u"`), end("u"))
			c.wantInAnyOrder(result("1", "false"), result("2", "false"), end("3"))
		}
		return runtime.NumGoroutine(), heap()
	}
	goroutines, bytes := round(2)
	for deadline := time.Now().Add(20 * time.Second); ; {
		g, b := round(20) // 5 invocations each
		if g <= goroutines+20 && b <= bytes+1_000_000 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines and %d bytes, then %d and %d", goroutines, bytes, g, b)
		}
	}
}

// cancelMany cancels invocations that wait: for their ctx, their turn, their client, their
// uploads, and a stream.
func cancelMany(c *client, times int) {
	for range times {
		c.send(call("1", "Await", `"a"`), call("2", "Derive", ""), call("3", "AskMe", `"Q"`),
			callWith("4", "Concat", "", `"u"`), streamWith("5", "Double", `"v"`), item("u", `"x"`))
		for !strings.Contains(c.next(), `"target":"Q"`) {
		}
		c.send(cancel("5"), cancel("4"), cancel("3"), cancel("2"), cancel("1"))
		for range 5 {
			c.next()
		}
	}
}

// Each cancellation looks for its invocation among those that wait, so their number is
// limited as that of invocations is. Those of a client that waits for nothing are not.
func TestTooManyCancellations(t *testing.T) {
	synctest.Test(t, testTooManyCancellations)
}

func testTooManyCancellations(t *testing.T) {
	h := newCancelLab(hub.Options{MaxInvocationsPerSecond: 2, KeepAliveInterval: -1})
	c := connect(t, h, clientOptions{})
	many := slices.Repeat([]string{cancel("nobody")}, 1000)
	c.send(call("1", "Await", `"a"`))
	c.send(many...)
	c.send(cancel("1"))
	c.want(awaited("1", "a"))
	c.send(call("1", "SendThenWait", `60000,"a"`), call("2", "Text", `"b"`))
	c.send(many[:100]...)
	c.want(started("a"))
	synctest.Wait()
	if n := h.Refusals().Invocations; n != 1 { // the first of many that wait
		t.Errorf("%d are counted", n)
	}
	time.Sleep(50 * time.Second) // of the bubble
	c.want(result("1", `"a"`), result("2", `"b"`))
}
