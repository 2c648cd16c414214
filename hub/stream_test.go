package hub_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/carillon-go/carillon/hub"
)

func nan(context.Context) (float64, error) { return math.NaN(), nil }

func sendNaN(h *hub.Hub) func(context.Context) error {
	return func(ctx context.Context) error { return h.Clients().Caller(ctx).Send(ctx, "M", math.NaN()) }
}

func TestStreams(t *testing.T) {
	c := detailed(t)
	for _, step := range []struct{ method, arguments, end string }{
		{"Count", "2,0", end("1")},
		{"CountThenFail", "2", failed("1", "An error occurred on the server while streaming results. InvalidOperationException: boom")},
	} {
		c.send(stream("1", step.method, step.arguments))
		c.want(item("1", "0"), item("1", "1"), step.end)
	}
	for _, step := range []struct{ method, arguments, end string }{
		{"Count", "0,0", end("1")},
		{"FailAtOnce", "", failed("1", "An unexpected error occurred invoking 'FailAtOnce' on the server. InvalidOperationException: boom")},
		{"NullStream", "", failed("1", "The value returned by the streaming method 'NullStream' is not a ChannelReader<> or IAsyncEnumerable<>.")},
		{"Text", `"x"`, failed("1", "The client attempted to invoke the non-streaming 'Text' method with a streaming invocation.")},
		{"Nope", "", failed("1", "Failed to invoke 'Nope' due to an error on the server. "+noMethod)},
	} {
		c.send(stream("1", step.method, step.arguments))
		c.want(step.end)
	}
	c.send(stream("1", "PanicLater", ""))
	c.want(item("1", "1"), failed("1", "An error occurred on the server while streaming results. Exception: panic: later"))
}

func TestCancellationRightBehindItsStream(t *testing.T) {
	c := detailed(t)
	for range 200 {
		c.send(stream("1", "Infinite", ""), cancel("1"))
		c.want(`{"type":1,"target":"StreamCanceled","arguments":[]}`, end("1"))
	}
	c.send(stream("1", "Channel", ""), cancel("1"), cancel("1"))
	c.want(end("1"))
	c.send(call("2", "Text", `"x"`), cancel("2"))
	c.want(result("2", `"x"`))
}

func TestCancelInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		c.send(stream("1", "Count", "100,50"))
		c.want(item("1", "0"), item("1", "1"))
		c.send(cancel("1"))
		c.want(end("1"))
	})
}

func TestStreamIDInUse(t *testing.T) {
	c := detailed(t)
	c.send(stream("1", "Infinite", ""), stream("1", "Infinite", ""))
	c.want(failed("1", "Invocation ID '1' is already in use."))
	c.send(call("1", "Text", `"x"`))
	c.want(result("1", `"x"`))
	c.send(cancel("1"))
	c.want(`{"type":1,"target":"StreamCanceled","arguments":[]}`, end("1"))
	c.send(stream("1", "Count", "1,0"))
	c.want(item("1", "0"), end("1"))
}

func TestStreamsRunBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		c.send(call("1", "SendThenWait", `300,"a"`))
		c.want(started("a"))
		c.send(stream("2", "Count", "2,0"))
		c.want(item("2", "0"), item("2", "1"), end("2"))
		c.send(callWith("3", "UploadIgnored", "", `"s"`))
		c.want(result("3", `"not read"`), result("1", `"a"`))
	})
}

func TestSlowReaderSlowsItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, newLab(hub.Options{}), clientOptions{capacity: 5})
		c.send(stream("1", "Count", "1000,0"))
		synctest.Wait()
		if n := len(c.conn.queue); n != 5 {
			t.Fatalf("%d items are queued", n)
		}
		for range 1000 {
			c.next()
		}
		c.want(end("1"))
	})
}

func TestUploads(t *testing.T) {
	c := detailed(t)
	c.send(callWith("1", "Concat", "", `"s"`), item("s", `"a"`), item("s", "null"), item("s", `"b"`), end("s"))
	c.want(result("1", `"ab"`))
	c.send(callWith("1", "Concat", "", `"s"`), `{"type":3,"invocationId":"s","error":"bad"}`)
	c.want(failed("1", "An unexpected error occurred invoking 'Concat' on the server. HubException: bad"))
	c.send(callWith("1", "Concat", "", `"s"`), `{"type":3,"invocationId":"s","error":""}`)
	c.want(failed("1", "An unexpected error occurred invoking 'Concat' on the server. HubException: "))
	c.send(callWith("1", "UploadTwo", `"-"`, `"a","b"`), item("a", "1"), item("b", `"x"`), end("b"), end("a"))
	c.want(result("1", `"1-1"`))
	c.send(`{"type":4,"invocationId":"1","target":"Double","arguments":[],"streamIds":["s"]}`, item("s", "4"), end("s"))
	c.want(item("1", "8"), end("1"))
	c.send(callWith("1", "Concat", "", `"a","b"`))
	c.want(failed("1", "An unexpected error occurred invoking 'Concat' on the server. HubException: Client sent 2 stream(s), Hub method expects 1."))
	c.send(call("1", "Concat", ""))
	c.want(failed("1", "An unexpected error occurred invoking 'Concat' on the server. HubException: Client sent 0 stream(s), Hub method expects 1."))
	c.send(callWith("1", "UploadIgnored", "", `"s"`))
	c.want(result("1", `"not read"`))
	c.send(item("s", "1"), end("s"), call("2", "Text", `"x"`))
	c.want(result("2", `"x"`))
}

// FromSeq stops its sequence when the stream is cancelled.
func TestFromSeq(t *testing.T) {
	read := 0
	for item, err := range hub.FromSeq(slices.Values([]string{"a", "b", "c"})) {
		if err != nil || item != [...]string{"a", "b"}[read] {
			t.Errorf("got %q, %v", item, err)
		}
		if read++; read == 2 {
			break
		}
	}
}

func TestUploadedItemOfTheWrongType(t *testing.T) {
	for _, step := range []struct {
		detailed bool
		prefix   string
	}{
		{true, `{"type":3,"invocationId":"1","result":"1,Failed to bind Stream message. JsonException: `},
		{false, `{"type":3,"invocationId":"1","result":"1,Failed to bind Stream message."}`},
	} {
		c := connect(t, newLab(hub.Options{DetailedErrors: step.detailed}), clientOptions{})
		c.send(callWith("1", "Upload", "", `"s"`), item("s", "1"), item("s", `"x"`), item("s", "3"), end("s"))
		if got := c.next(); len(got) < len(step.prefix) || got[:len(step.prefix)] != step.prefix {
			t.Errorf("got %s", got)
		}
		c.close()
	}
}

func TestUnreadUploadHoldsUpTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		c.send(callWith("1", "UploadSlow", "1500", `"s"`))
		for range 10 {
			c.send(item("s", "1"))
		}
		c.send(call("2", "Text", `"x"`))
		c.want(result("2", `"x"`))
		go func() {
			c.send(item("s", "1"), item("s", "1"), call("3", "Text", `"y"`), end("s"))
		}()
		synctest.Wait()
		c.quiet()
		got := map[string]bool{c.next(): true, c.next(): true}
		if !got[result("3", `"y"`)] || !got[result("1", "12")] {
			t.Fatalf("got %v", got)
		}
	})
}

// A method that reads nothing of its upload hears of the end of a connection whose reader
// waits for it to read.
func TestUnreadUploadEndsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		h.Handle("Wait", hub.Action1(func(ctx context.Context, _ hub.Upload[int]) error {
			<-ctx.Done()
			return nil
		}))
		c := connect(t, h, clientOptions{})
		c.send(callWith("1", "Wait", "", `"s"`))
		for range 11 {
			c.send(item("s", "1"))
		}
		synctest.Wait()
		c.close()
	})
}

func TestViolationsBehindTheArguments(t *testing.T) {
	c := detailed(t)
	c.send(`{"type":4,"target":"Count","arguments":[1]}`, call("1", "Text", `"x"`)) // does not fit, so nobody is told
	c.want(result("1", `"x"`))
	c.send(`{"type":4,"target":"Count","arguments":[1,0]}`)
	c.want(fatal(" InvalidDataException: Missing required property 'invocationId'."))
	c.wantEnd()
}

func TestRefusedStreamsKeepTheirPlace(t *testing.T) {
	c := detailed(t)
	for range 100 {
		c.send(call("1", "Text", `"x"`), call("2", "Concat", ""), stream("3", "Text", `"y"`), call("4", "Text", `"z"`))
		c.want(
			result("1", `"x"`), failed("2", "An unexpected error occurred invoking 'Concat' on the server. HubException: Client sent 0 stream(s), Hub method expects 1."),
			failed("3", "The client attempted to invoke the non-streaming 'Text' method with a streaming invocation."), result("4", `"z"`),
		)
	}
}
