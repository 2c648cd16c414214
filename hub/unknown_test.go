package hub_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
)

// binaryClient connects a client with MessagePack.
func binaryClient(t *testing.T, h *hub.Hub, o clientOptions) *client {
	t.Helper()
	c := dial(t, h, o)
	c.send(`{"protocol":"messagepack","version":1}`)
	<-c.conn.queue
	c.sendRaw("\x0c\x96\x01\x80\xa10\xa4Void\x90\x90") // answered when it has joined the backplane
	c.wantBytes("\x07\x95\x03\x80\xa10\x03\xc0")
	return c
}

// wantBytes checks the next frame.
func (c *client) wantBytes(want string) {
	c.t.Helper()
	if got := string((<-c.conn.queue).Payload()); got != want {
		c.t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// newUnknownLab makes a lab with a function for unknown methods that describes its invocations.
func newUnknownLab(o hub.Options) *hub.Hub {
	h := newLoneLab(o)
	h.HandleUnknown(func(ctx context.Context, in *hub.Unknown) (any, error) {
		switch in.Target {
		case "refuse":
			return nil, hub.NewError("no luck")
		case "refusePlain":
			return nil, errors.New("a secret")
		case "burst":
			panic("oh")
		case "goexit":
			runtime.Goexit()
		case "first":
			return in.Arguments[0], nil
		case "wait":
			<-ctx.Done()
			return nil, ctx.Err()
		}
		text := fmt.Sprintf("%s %s %q %q", in.Target, in.Protocol, in.ID, in.Message)
		for _, a := range in.Arguments {
			text += fmt.Sprintf(" %s:%q", a.Protocol, a.Data)
		}
		return text, nil
	})
	return h
}

func TestUnknownInvocations(t *testing.T) {
	h := newUnknownLab(hub.Options{})
	c := connect(t, h, clientOptions{id: "json"})
	for _, step := range []struct{ sent, got string }{
		{call("1", "Text", `"known"`), result("1", `"known"`)},
		{`{"type":1, "arguments":[1 , {"a": 1.0}],"invocationId":"2","target":"Say"}`,
			result("2", `"Say json \"2\" \"{\\\"type\\\":1, \\\"arguments\\\":[1 , {\\\"a\\\": 1.0}],\\\"invocationId\\\":\\\"2\\\",\\\"target\\\":\\\"Say\\\"}\" json:\"1\" json:\"{\\\"a\\\": 1.0}\""`)},
		{call("3", "first", `[1 , 2.0]`), result("3", `[1 , 2.0]`)},
		{call("4", "refuse", ""), failed("4", "An unexpected error occurred invoking 'refuse' on the server. HubException: no luck")},
		{call("5", "refusePlain", ""), failed("5", "An unexpected error occurred invoking 'refusePlain' on the server.")},
		{call("6", "burst", ""), failed("6", "An unexpected error occurred invoking 'burst' on the server.")},
		{call("7", "goexit", ""), failed("7", "An unexpected error occurred invoking 'goexit' on the server.")},
		{stream("8", "Say", ""), failed("8", "The client attempted to invoke the non-streaming 'Say' method with a streaming invocation.")},
		{callWith("9", "Say", "", `"1"`), failed("9", "An unexpected error occurred invoking 'Say' on the server. HubException: Client sent 1 stream(s), Hub method expects 0.")},
		{call("12", "Say", strings.Repeat("1,", 1000)+"1"), failed("12", "Failed to invoke 'Say' due to an error on the server. HubException: The invocation has too many arguments.")},
		{call("13", "Say", "1,\"\xff\""), failed("13", "Failed to invoke 'Say' due to an error on the server.")},
		{call("10", "text", `1`), failed("10", "Failed to invoke 'Text' due to an error on the server.")},
	} {
		c.send(step.sent)
		c.want(step.got)
	}
	c.send(call("", "first", `1`), call("11", "first", `"no answer before"`))
	c.want(result("11", `"no answer before"`))

	binary := binaryClient(t, h, clientOptions{id: "binary"})
	binary.sendRaw("\x0e\x96\x01\x80\xa11\xa5first\x91\x07\x90")
	binary.wantBytes("\x07\x95\x03\x80\xa11\x03\x07")
	binary.sendRaw("\x0f\x96\x01\x80\xa12\xa5first\x91\xa1x\x90")
	binary.wantBytes("\x08\x95\x03\x80\xa12\x03\xa1x")
	binary.sendRaw("\x0b\x96\x01\x80\xa13\xa3Say\xc0\x90")
	if got := string((<-binary.conn.queue).Payload()); !strings.Contains(got, "Failed to invoke 'Say' due to an error on the server.") {
		t.Errorf("arguments that are no array: %q", got)
	}
}

// Without a function for them, invocations of unknown methods are refused.
func TestUnknownInvocationsWithoutAFunction(t *testing.T) {
	c := connect(t, newLoneLab(hub.Options{}), clientOptions{})
	const refusal = "Failed to invoke 'Say' due to an error on the server. HubException: Method does not exist."
	c.send(call("1", "Say", "1"), stream("2", "Say", ""))
	c.want(failed("1", refusal), failed("2", refusal))
}

// Unknown invocations run in order and at most Options.MaxParallelInvocations at once, as
// methods do, and their ctx ends with the connection.
func TestUnknownInvocationsRunAsMethods(t *testing.T) {
	h := hub.New(hub.Options{})
	running, release, ended := make(chan string, 9), make(chan struct{}), make(chan error, 1)
	h.HandleUnknown(func(ctx context.Context, in *hub.Unknown) (any, error) {
		running <- in.Target
		if in.Target == "last" {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, nil
		}
		<-release
		return in.Target, nil
	})
	c := connect(t, h, clientOptions{})
	c.send(call("1", "a", ""), call("2", "b", ""))
	if got := <-running; got != "a" {
		t.Errorf("%s runs first", got)
	}
	select {
	case other := <-running:
		t.Errorf("%s runs at the same time", other)
	default:
	}
	close(release)
	c.want(result("1", `"a"`), result("2", `"b"`))
	c.send(call("3", "last", ""))
	for name := range running {
		if name == "last" {
			break
		}
	}
	c.close()
	if <-ended == nil {
		t.Error("the ctx has not ended")
	}
}

func TestFiltersSeeUnknownInvocations(t *testing.T) {
	var got []string
	filter := hub.Filter{Invoke: func(ctx context.Context, inv *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
		got = append(got, fmt.Sprintf("%v %q %q %q", inv.Known, inv.Method, inv.Target, inv.Arguments()))
		return next(ctx)
	}}
	c := connect(t, newUnknownLab(hub.Options{Filters: []hub.Filter{filter}}), clientOptions{})
	c.send(call("1", "first", `[1]`), call("2", "text", `"x"`))
	c.want(result("1", `[1]`), result("2", `"x"`))
	if want := []string{`false "" "first" [{"json" "[1]"}]`, `true "Text" "text" ["x"]`}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A result of a client is taken with its protocol, and arguments that are encoded already reach
// clients of all protocols.
func TestRawArgumentsAndResults(t *testing.T) {
	h := newLab(hub.Options{})
	text, binary := connect(t, h, clientOptions{id: "json"}), binaryClient(t, h, clientOptions{id: "binary"})
	listener := dial(t, h, clientOptions{id: "l", info: hub.ConnectInfo{Listens: true}})
	_ = listener.next()
	for _, raw := range []protocol.Raw{{Protocol: "json", Data: []byte("[1,\n2.0]")}, {Protocol: "messagepack", Data: []byte("\x92\x01\x02")}} {
		if err := h.Clients().All().Send(t.Context(), "M", raw); err != nil {
			t.Fatal(err)
		}
		list, event, packed := string(raw.Data), "[1,2.0]", "\x1b\x96\x01\x80\xc0\xa1M\x91\x92\xd3\x00\x00\x00\x00\x00\x00\x00\x01\xd3\x00\x00\x00\x00\x00\x00\x00\x02\x90"
		if raw.Protocol != "json" {
			list, event, packed = "[1,2]", "[1,2]", "\x0b\x96\x01\x80\xc0\xa1M\x91\x92\x01\x02\x90"
		}
		text.wantBytes(call("", "M", list) + "\x1e")
		listener.wantBytes("event: M\r\ndata: [" + event + "]")
		binary.wantBytes(packed)
	}
	ask := func(id string) chan protocol.Raw {
		answer := make(chan protocol.Raw, 1)
		go func() {
			raw, err := hub.Invoke[protocol.Raw](t.Context(), h.Clients().Client(id), "Ask")
			if err != nil {
				t.Error(err)
			}
			answer <- raw
		}()
		return answer
	}
	answer := ask("json")
	text.send(result(text.question("Ask"), `{"a": 1.50}`))
	if raw := <-answer; raw.Protocol != "json" || string(raw.Data) != `{"a": 1.50}` {
		t.Errorf("got %s %q", raw.Protocol, raw.Data)
	}
	answer = ask("binary")
	f := (<-binary.conn.queue).Payload() // the id is the third item
	id := string(f[4 : 5+f[4]&0x1f])
	binary.sendRaw(string(rune(6+len(id))) + "\x95\x03\x80" + id + "\x03\x91\xc3")
	if raw := <-answer; raw.Protocol != "messagepack" || string(raw.Data) != "\x91\xc3" {
		t.Errorf("got %s %q", raw.Protocol, raw.Data)
	}
}

// A function for unknown methods may pass on the completion of somebody else.
func TestUnknownInvocationsPassAnswersOn(t *testing.T) {
	h := newLoneLab(hub.Options{})
	answers := []hub.Answer{
		{},
		{Protocol: "json", Result: []byte("null")},
		{Protocol: "json", Result: []byte(`{"b":1.0, "a":[2]}`)},
		{Protocol: "messagepack", Result: []byte("\x92\x01\xc0")},
		{Failed: true, Error: "no <luck>"},
		{Failed: true},
		{Protocol: "json", Result: []byte("{")},
		{Protocol: "json", Result: []byte("\"\xff\"")},
		{Protocol: "messagepack", Result: []byte("\x92\x01")},
	}
	h.HandleUnknown(func(_ context.Context, in *hub.Unknown) (any, error) {
		var n int
		_, err := fmt.Sscan(string(in.Arguments[0].Data), &n)
		return answers[n], err
	})
	c := connect(t, h, clientOptions{id: "json"})
	const broken = "An unexpected error occurred invoking 'pass' on the server."
	for n, want := range []string{
		`{"type":3,"invocationId":"7"}`, result("7", "null"), result("7", `{"b":1.0, "a":[2]}`), result("7", "[1,null]"),
		`{"type":3,"invocationId":"7","error":"no <luck>"}`, failed("7", ""),
		failed("7", broken), failed("7", broken), failed("7", broken),
	} {
		c.send(call("7", "pass", fmt.Sprint(n)))
		c.want(want)
	}
}
