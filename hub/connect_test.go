package hub_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

func TestHandshakes(t *testing.T) {
	const shaken = "An unexpected error occurred during connection handshake."
	for _, step := range []struct{ name, sent, got string }{
		{"json", `{"protocol":"json","version":1}`, `{}`},
		{"any case", `{"protocol":"JSON","version":-1}`, `{}`},
		{"version 2", `{"protocol":"json","version":2}`, `{}`},
		{"version 3", `{"protocol":"JSON","version":3}`, `{"error":"The server does not support version 3 of the 'JSON' protocol."}`},
		{"unknown", `{"protocol":"foo","version":9}`, `{"error":"The protocol 'foo' is not supported."}`},
		{"missing", `{"version":1}`, `{"error":"` + shaken + ` InvalidDataException: Missing required property 'protocol'. Message content: {\"version\":1}"}`},
		{"too long", `{"protocol":"json","version":1,"x":"` + pad(40000) + `"}`, `{"error":"Handshake was canceled."}`},
	} {
		t.Run(step.name, func(t *testing.T) {
			c := dial(t, newLab(hub.Options{DetailedErrors: true}), clientOptions{})
			c.send(step.sent)
			c.want(step.got)
			if strings.HasPrefix(step.got, `{"error"`) {
				c.wantEnd()
			}
		})
	}
	t.Run("without details", func(t *testing.T) {
		c := dial(t, newLab(hub.Options{}), clientOptions{})
		c.send(`{"version":1}`)
		c.want(`{"error":"` + shaken + `"}`)
		c.wantEnd()
	})
	t.Run("MessagePack on an event stream", func(t *testing.T) {
		c := dial(t, newLab(hub.Options{}), clientOptions{info: hub.ConnectInfo{Transport: "ServerSentEvents"}})
		c.send(`{"protocol":"messagepack","version":1}`)
		c.want(`{"error":"Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format."}`)
		c.wantEnd()
	})
	t.Run("a protocol that the hub does not offer", func(t *testing.T) {
		c := dial(t, newLab(hub.Options{Protocols: []string{"json"}}), clientOptions{})
		c.send(`{"protocol":"messagepack","version":1}`)
		c.want(`{"error":"The protocol 'messagepack' is not supported."}`)
		c.wantEnd()
	})
	t.Run("in pieces, with an invocation behind", func(t *testing.T) {
		c := dial(t, newLab(hub.Options{}), clientOptions{})
		for _, b := range []byte(`{"protocol":"json","version":1}` + "\x1e" + call("1", "Text", `"x"`) + "\x1e") {
			c.sendRaw(string(b))
		}
		c.want(`{}`, result("1", `"x"`))
		d := dial(t, newLab(hub.Options{}), clientOptions{})
		d.send(`{"protocol":"json","version":1}`, call("1", "Text", `"x"`))
		d.want(`{}`, result("1", `"x"`))
	})
}

func TestHandshakeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := dial(t, newLab(hub.Options{}), clientOptions{})
		c.sendRaw(`{"protocol":"json"`)
		c.want(`{"error":"Handshake was canceled."}`)
		c.wantEnd()
		if took := time.Since(begin); took < 15*time.Second || took > 16*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		first := connect(t, h, clientOptions{id: "first"})
		time.Sleep(300 * time.Millisecond) // of the bubble: between two looks
		begin := time.Now()
		c := connect(t, h, clientOptions{})
		poll := connect(t, h, clientOptions{id: "poll", info: hub.ConnectInfo{Transport: "LongPolling", Binary: true, NoPings: true}})
		silent := dial(t, h, clientOptions{id: "silent"})
		for i := 1; i <= 4; i++ {
			time.Sleep(10 * time.Second)     // of the bubble
			c.send(call("1", "Text", `"x"`)) // whatever else is sent
		}
		var pings []time.Duration
		for n := 0; n < 4; {
			if r := c.next(); r != `{"type":6}` {
				n++
				continue
			}
			pings = append(pings, time.Since(begin))
		}
		synctest.Wait()
		if len(pings) != 2 {
			t.Errorf("%d pings in 40 s", len(pings))
		}
		poll.quiet()
		silent.want(`{"error":"Handshake was canceled."}`)
		first.want(`{"type":6}`)
	})
}

func TestFirstPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := connect(t, newLab(hub.Options{}), clientOptions{})
		for i := 1; i <= 5; i++ {
			c.want(`{"type":6}`)
			due := time.Duration(i) * 15 * time.Second
			if at := time.Since(begin); at < due || at > due+time.Second {
				t.Errorf("ping %d after %v", i, at)
			}
		}
	})
}

func TestSilentClient(t *testing.T) {
	const silence = " OperationCanceledException: Client hasn't sent a message/ping within the configured ClientTimeoutInterval."
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{DetailedErrors: true, KeepAliveInterval: -1, ClientTimeout: 2 * time.Second})
		c := connect(t, h, clientOptions{})
		c.send(call("1", "Text", `"x"`))
		c.want(result("1", `"x"`))
		time.Sleep(time.Minute) // it never pinged: it may be silent
		synctest.Wait()
		c.quiet()
		c.send(`{"type":6}`)
		for range 5 {
			time.Sleep(1500 * time.Millisecond) // of the bubble
			c.send(call("1", "Void", ""))
			c.want(result("1", "null"))
		}
		begin := time.Now()
		c.send(call("1", "SendThenWait", `10000,"x"`)) // a method that runs does not stop the watch
		c.want(started("x"), fatal(silence))
		c.wantEnd()
		if took := time.Since(begin); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A client that leaves and goes on pinging is not silent: it gets the answers to its earlier
// invocations.
func TestPingsAfterTheLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1, ClientTimeout: 2 * time.Second})
		c := connect(t, h, clientOptions{})
		c.send(`{"type":6}`, call("1", "SendThenWait", `5000,"x"`), call("2", "Text", `"y"`), `{"type":7}`)
		for range 4 {
			time.Sleep(time.Second) // the clock of the bubble
			c.send(`{"type":6}`)
		}
		c.want(started("x"), result("1", `"x"`), result("2", `"y"`), `{"type":7}`)
		c.wantEnd()
	})
}

func TestOnConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{DetailedErrors: true})
		h.OnConnected(func(ctx context.Context) error {
			if err := h.Clients().Caller(ctx).Send(ctx, "Welcome", hub.CallerFrom(ctx).ConnectionID()); err != nil {
				return err
			}
			time.Sleep(time.Second) // of the bubble
			return nil
		})
		c := dial(t, h, clientOptions{})
		begin := time.Now()
		c.send(`{"protocol":"json","version":1}`, call("1", "Text", `"x"`))
		c.send(call("2", "Text", `"y"`))
		c.sendRaw(call("3", "Text", `"z"`)[:20])
		c.want(`{}`, `{"type":1,"target":"Welcome","arguments":["id"]}`)
		c.want(result("1", `"x"`), result("2", `"y"`))
		if time.Since(begin) < time.Second {
			t.Error("a message was handled before OnConnected was through")
		}
		c.sendRaw(call("3", "Text", `"z"`)[20:] + "\x1e")
		c.want(result("3", `"z"`))
	})
}

func TestBacklogWhileConnectingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		h.OnConnected(func(context.Context) error {
			time.Sleep(time.Second) // of the bubble
			return nil
		})
		c := dial(t, h, clientOptions{})
		c.send(`{"protocol":"json","version":1}`)
		c.want(`{}`)
		begin := time.Now()
		for range 4 {
			c.send(call("1", "Text", `"`+pad(30000)+`"`))
		}
		c.send(call("2", "Void", ""))
		if time.Since(begin) < time.Second {
			t.Error("read on although too much waits")
		}
		for range 4 {
			c.want(result("1", `"`+pad(30000)+`"`))
		}
		c.want(result("2", "null"))
	})
}

func TestOnConnectedFails(t *testing.T) {
	for _, step := range []struct {
		name string
		f    func(ctx context.Context) error
		end  string
	}{
		{"hub error", func(context.Context) error { return hub.NewError("not you") }, ` HubException: not you`},
		{"uncreatable", func(context.Context) error { return typed{"InvalidOperationException", "Unable"} }, ` InvalidOperationException: Unable`},
		{"panic", func(context.Context) error { panic("oh") }, ` Exception: panic: oh`},
	} {
		t.Run(step.name, func(t *testing.T) {
			h := newLab(hub.Options{DetailedErrors: true})
			h.OnConnected(step.f)
			h.OnDisconnected(func(context.Context, error) { t.Error("OnDisconnected after a failed OnConnected") })
			c := connect(t, h, clientOptions{})
			c.want(`{"type":7,"error":"Connection closed with an error.` + step.end + `"}`)
			c.wantEnd()
			c.close()
		})
	}
}

func TestOnConnectedAborts(t *testing.T) {
	h := newLab(hub.Options{})
	h.OnConnected(func(ctx context.Context) error {
		defer hub.CallerFrom(ctx).Abort()
		return h.Clients().Caller(ctx).Send(ctx, "Welcome")
	})
	c := connect(t, h, clientOptions{})
	c.want(`{"type":1,"target":"Welcome","arguments":[]}`, `{"type":7}`)
	c.wantEnd()
}

// disconnects collects what OnDisconnected got.
func disconnects(h *hub.Hub) <-chan error {
	causes := make(chan error, 10)
	h.OnDisconnected(func(ctx context.Context, cause error) {
		if ctx.Err() != nil {
			cause = errors.New("the ctx of OnDisconnected is done")
		}
		if v, ok := hub.CallerFrom(ctx).Items().Get("key"); !ok || v != 1 {
			cause = errors.New("the items are gone")
		}
		causes <- cause
	})
	h.OnConnected(func(ctx context.Context) error {
		hub.CallerFrom(ctx).Items().Set("key", 1)
		return nil
	})
	return causes
}

func TestOnDisconnected(t *testing.T) {
	cut := errors.New("cut")
	for _, step := range []struct {
		name  string
		do    func(c *client)
		cause error
	}{
		{"hangs up", func(c *client) { c.close() }, nil},
		{"is cut off", func(c *client) { c.leave(cut) }, cut},
		{"close message", func(c *client) { c.send(`{"type":7}`) }, nil},
		{"close message with an error", func(c *client) { c.send(`{"type":7,"error":"bye"}`) }, hub.NewError("bye")},
		{"aborted", func(c *client) { c.send(call("1", "Abort", "")) }, hub.ErrAborted},
	} {
		t.Run(step.name, func(t *testing.T) {
			h := newLab(hub.Options{})
			causes := disconnects(h)
			c := connect(t, h, clientOptions{})
			c.send(call("9", "Void", ""))
			c.want(result("9", "null"))
			step.do(c)
			if got := <-causes; !errors.Is(got, step.cause) && (got == nil || step.cause == nil || got.Error() != step.cause.Error()) {
				t.Errorf("cause %v, want %v", got, step.cause)
			}
			c.close()
			if len(causes) > 0 {
				t.Error("OnDisconnected ran twice")
			}
		})
	}
}

func TestDisconnectWhileConnecting(t *testing.T) {
	h := newLab(hub.Options{})
	entered := make(chan struct{})
	h.OnConnected(func(ctx context.Context) error {
		close(entered)
		<-ctx.Done()
		return nil
	})
	ended := make(chan struct{})
	h.OnDisconnected(func(context.Context, error) { close(ended) })
	c := connect(t, h, clientOptions{})
	<-entered
	c.close()
	<-ended
}

func TestMessagesJustBeforeTheEndAreHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		var got []string
		h.Handle("Note", hub.Action1(func(ctx context.Context, s string) error {
			select {
			case <-time.After(10 * time.Millisecond):
				got = append(got, s)
			case <-ctx.Done():
				got = append(got, "cancelled "+s)
			}
			return nil
		}))
		c := connect(t, h, clientOptions{})
		c.send(call("", "Note", `"a"`), call("", "Note", `"b"`))
		c.close()
		if strings.Join(got, ",") != "a,b" {
			t.Errorf("got %v", got)
		}
	})
}

func TestMethodsEndWithTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		cut := errors.New("cut")
		causes := make(chan error, 3)
		h.Handle("Forever", hub.Action0(func(ctx context.Context) error {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil
		}))
		c := connect(t, h, clientOptions{})
		c.send(call("1", "Forever", ""), stream("2", "Infinite", ""), callWith("3", "Upload", "", `"s"`), call("4", "Forever", ""))
		synctest.Wait()
		c.leave(cut)
		for range 2 {
			if got := <-causes; !errors.Is(got, cut) {
				t.Errorf("cause %v", got)
			}
		}
	})
}

func TestFilters(t *testing.T) {
	var seen []string
	note := func(s string) { seen = append(seen, s) }
	filter := func(name string) hub.Filter {
		return hub.Filter{
			Invoke: func(ctx context.Context, inv *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
				note(name + " " + inv.Method + "/" + inv.Target)
				if inv.Target == "Text" && inv.Arguments()[0] == "forbidden" {
					return nil, hub.NewError("no")
				}
				result, err := next(ctx)
				if err != nil {
					note(name + " " + err.Error())
				}
				return result, err
			},
			Connect: func(ctx context.Context, next func(context.Context) error) error {
				note(name + " connect")
				return next(ctx)
			},
			Disconnect: func(ctx context.Context, cause error, next func(context.Context, error)) {
				note(name + " disconnect")
				next(ctx, cause)
			},
		}
	}
	h := newLab(hub.Options{Filters: []hub.Filter{filter("a"), filter("b"), {}}})
	c := connect(t, h, clientOptions{})
	c.send(call("1", "text", `"x"`), call("2", "Nope", ""), call("3", "Text", `"forbidden"`))
	c.want(
		result("1", `"x"`), failed("2", "Failed to invoke 'Nope' due to an error on the server. "+noMethod),
		failed("3", "An unexpected error occurred invoking 'Text' on the server. HubException: no"),
	)
	c.send(stream("4", "Count", "1,0"))
	c.want(item("4", "0"), end("4"))
	c.close()
	want := "a connect|b connect|a Text/text|b Text/text|a /Nope|b /Nope|b Method does not exist.|a Method does not exist.|a Text/Text"
	if got := strings.Join(seen, "|"); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "a disconnect|b disconnect") {
		t.Errorf("seen %s", got)
	}
}

func TestRegistration(t *testing.T) {
	panics := func(name string, f func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", name)
			}
		}()
		f()
	}
	h := newLab(hub.Options{})
	m := hub.Action0(func(context.Context) error { return nil })
	panics("a name in other case", func() { h.Handle("TEXT", m) })
	panics("an unknown protocol", func() { hub.New(hub.Options{Protocols: []string{"blazorpack"}}) })
	connect(t, h, clientOptions{}).close()
	panics("a method after the first connection", func() { h.Handle("Late", m) })
}

// A client that pinged while OnConnected ran was not silent.
func TestPingsWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		h.OnConnected(func(context.Context) error {
			time.Sleep(time.Minute) // of the bubble
			return nil
		})
		c := connect(t, h, clientOptions{})
		for range 6 {
			c.send(`{"type":6}`)
			time.Sleep(9 * time.Second) // of the bubble
		}
		time.Sleep(10 * time.Second) // of the bubble
		c.send(call("1", "Text", `"a"`))
		c.want(result("1", `"a"`))
	})
}

// slowArgument takes its time to decode itself.
type slowArgument struct{}

var decoding, decoded chan struct{}

func (*slowArgument) UnmarshalJSON([]byte) error {
	close(decoding)
	<-decoded
	return nil
}

// An invocation that is just being read when its connection ends does not run behind
// OnDisconnected.
func TestNothingRunsBehindOnDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		decoding, decoded = make(chan struct{}), make(chan struct{})
		var over atomic.Bool
		h := newLab(hub.Options{})
		h.OnDisconnected(func(context.Context, error) { over.Store(true) })
		h.Handle("Late", hub.Action1(func(context.Context, slowArgument) error {
			if over.Load() {
				t.Error("it runs behind OnDisconnected")
			}
			return nil
		}))
		c := connect(t, h, clientOptions{id: "a"})
		c.send(call("1", "Late", "1"))
		<-decoding
		_ = h.Disconnect(t.Context(), "a")
		synctest.Wait()
		close(decoded)
		c.close()
		if !over.Load() {
			t.Error("OnDisconnected did not run")
		}
	})
}
