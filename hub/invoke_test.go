package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

const (
	badArguments = "InvalidDataException: Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked."
	noMethod     = "HubException: Method does not exist."
)

func TestInvocations(t *testing.T) {
	c := detailed(t)
	// In one piece: what runs at once is answered in order, whatever it is.
	c.send(
		call("1", "Text", `"x"`), call("2", "tEXT", `"y"`), call("3", "Void", ""), call("", "Text", `"z"`),
		call("4", "Nope", ""), call("5", "text", ""), call("6", "Text", "5"), call("", "Nope", ""), call("7", "Text", `"u"`),
		call("8", "Fail", `"boom"`), call("9", "FailPlain", `"boom"`), call("10", "FailHub", `"boom"`), call("11", "Panic", `"boom"`),
		call("12", "Guarded", ""), call("13", "Count", "1,0"), callWith("14", "Text", `"x"`, `"s"`), call("15", "Add", "1,2"),
		call("16", "Send", `"M","m"`),
	)
	c.want(
		result("1", `"x"`), result("2", `"y"`), result("3", "null"),
		failed("4", "Failed to invoke 'Nope' due to an error on the server. "+noMethod),
		failed("5", "Failed to invoke 'Text' due to an error on the server. InvalidDataException: Invocation provides 0 argument(s) but target expects 1."),
		failed("6", "Failed to invoke 'Text' due to an error on the server. "+badArguments),
		result("7", `"u"`),
		failed("8", "An unexpected error occurred invoking 'Fail' on the server. InvalidOperationException: boom"),
		failed("9", "An unexpected error occurred invoking 'FailPlain' on the server. Exception: boom"),
		failed("10", "An unexpected error occurred invoking 'FailHub' on the server. HubException: boom"),
		failed("11", "An unexpected error occurred invoking 'Panic' on the server. Exception: panic: boom"),
		failed("12", "Failed to invoke 'Guarded' because user is unauthorized"),
		failed("13", "The client attempted to invoke the streaming 'Count' method with a non-streaming invocation."),
		failed("14", "An unexpected error occurred invoking 'Text' on the server. HubException: Client sent 1 stream(s), Hub method expects 0."),
		result("15", "3"),
		`{"type":1,"target":"M","arguments":["m"]}`, result("16", "null"),
	)
}

func TestErrorsWithoutDetails(t *testing.T) {
	c := connect(t, newLab(hub.Options{}), clientOptions{})
	c.send(
		call("1", "Fail", `"boom"`), call("2", "FailHub", `"boom"`), call("3", "Nope", ""), call("4", "Text", ""),
		callWith("5", "Text", `"x"`, `"s"`), call("6", "Panic", `"boom"`), call("7", "Guarded", ""),
	)
	c.want(
		failed("1", "An unexpected error occurred invoking 'Fail' on the server."),
		failed("2", "An unexpected error occurred invoking 'FailHub' on the server. HubException: boom"),
		failed("3", "Failed to invoke 'Nope' due to an error on the server. "+noMethod),
		failed("4", "Failed to invoke 'Text' due to an error on the server."),
		failed("5", "An unexpected error occurred invoking 'Text' on the server. HubException: Client sent 1 stream(s), Hub method expects 0."),
		failed("6", "An unexpected error occurred invoking 'Panic' on the server."),
		failed("7", "Failed to invoke 'Guarded' because user is unauthorized"),
	)
	c.send("nonsense")
	c.want(fatal(""))
	c.wantEnd()
}

func TestAuthorizedUser(t *testing.T) {
	c := connect(t, newLab(hub.Options{}), clientOptions{user: "alice"})
	c.send(call("1", "Guarded", ""))
	c.want(result("1", "null"))
}

func TestRecordsInPieces(t *testing.T) {
	c := detailed(t)
	all := call("1", "Text", `"ä"`) + "\x1e" + call("2", "Text", `"y"`) + "\x1e"
	for i := range len(all) {
		c.sendRaw(all[i : i+1])
	}
	c.want(result("1", `"ä"`), result("2", `"y"`))
	c.sendRaw(all + all[:10])
	c.sendRaw(all[10:])
	c.want(result("1", `"ä"`), result("2", `"y"`), result("1", `"ä"`), result("2", `"y"`))
}

func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		c.send(call("1", "SendThenWait", `300,"a"`), call("2", "SendThenWait", `50,"b"`), call("", "SendThenWait", `50,"c"`), call("3", "Text", `"t"`))
		c.want(started("a"), result("1", `"a"`), started("b"), result("2", `"b"`), started("c"), result("3", `"t"`))
	})
}

func TestThreeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, newLab(hub.Options{MaxParallelInvocations: 3}), clientOptions{})
		c.send(call("1", "SendThenWait", `400,"a"`))
		c.want(started("a"))
		c.send(call("2", "SendThenWait", `300,"b"`))
		c.want(started("b"))
		c.send(call("3", "SendThenWait", `200,"c"`))
		c.want(started("c"))
		c.send(call("4", "SendThenWait", `50,"d"`), call("5", "Text", `"e"`))
		synctest.Wait()
		c.quiet()
		c.want(result("3", `"c"`), started("d"), result("4", `"d"`), result("5", `"e"`), result("2", `"b"`), result("1", `"a"`))
	})
}

func TestErrorsOvertakeWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		begin := time.Now()
		c.send(call("1", "SendThenWait", `300,"a"`), call("2", "Nope", ""), call("3", "Text", ""), stream("4", "Nope", ""))
		c.want(
			started("a"), failed("2", "Failed to invoke 'Nope' due to an error on the server. "+noMethod),
			failed("3", "Failed to invoke 'Text' due to an error on the server. InvalidDataException: Invocation provides 0 argument(s) but target expects 1."),
			failed("4", "Failed to invoke 'Nope' due to an error on the server. "+noMethod),
		)
		if waited := time.Since(begin); waited >= 300*time.Millisecond {
			t.Fatalf("overtook after %v only", waited)
		}
		c.want(result("1", `"a"`))
	})
}

func TestNothingOvertakesWhatHasNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		c.send(call("1", "SendThenWait", `300,"a"`), call("2", "Text", `"x"`), call("3", "Nope", ""), call("4", "Count", "1,0"))
		c.want(
			started("a"), result("1", `"a"`), result("2", `"x"`),
			failed("3", "Failed to invoke 'Nope' due to an error on the server. "+noMethod),
			failed("4", "The client attempted to invoke the streaming 'Count' method with a non-streaming invocation."),
		)
	})
}

func TestTooMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		c.send(call("1", "SendThenWait", `1000,"a"`))
		c.want(started("a"))
		big := call("2", "Text", `"`+string(make([]byte, 0))+pad(30000)+`"`)
		for range 3 {
			c.send(big)
		}
		blocked := make(chan struct{})
		go func() {
			defer close(blocked)
			c.send(call("3", "Void", ""))
		}()
		synctest.Wait()
		select {
		case <-blocked:
			t.Error("read on although too much waits")
		default:
		}
		c.want(result("1", `"a"`))
		for range 3 {
			c.want(result("2", `"`+pad(30000)+`"`))
		}
		<-blocked
		c.want(result("3", "null"))
	})
}

func pad(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return string(b)
}

func TestProtocolErrorsBehindGoodMessages(t *testing.T) {
	c := detailed(t)
	c.send(call("1", "Text", `"a"`), call("2", "Text", `"b"`), "nonsense", call("3", "Text", `"c"`))
	c.want(result("1", `"a"`), result("2", `"b"`), fatal(" InvalidDataException: Error reading JSON."))
	c.wantEnd()
}

func TestCloseMessage(t *testing.T) {
	c := detailed(t)
	c.send(call("1", "Text", `"a"`), `{"type":7}`, call("2", "Text", `"b"`))
	c.want(result("1", `"a"`), `{"type":7}`)
	c.wantEnd()
}

func TestCloseMessageWhileAMethodRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		begin := time.Now()
		c.send(call("1", "SendThenWait", `600,"x"`), `{"type":7}`)
		c.want(started("x"), `{"type":7}`)
		c.wantEnd()
		if waited := time.Since(begin); waited >= 600*time.Millisecond {
			t.Fatalf("closed after %v only", waited)
		}
	})
}

func TestAbort(t *testing.T) {
	c := detailed(t)
	c.send(call("1", "Abort", ""), call("2", "Text", `"x"`))
	c.want(`{"type":7}`)
	c.wantEnd()
}

func TestResultThatCannotBeWritten(t *testing.T) {
	h := newLab(hub.Options{DetailedErrors: true})
	h.Handle("NaN", hub.Func0(nan))
	h.Handle("SendNaN", hub.Action0(sendNaN(h)))
	for _, method := range []string{"NaN", "SendNaN"} {
		c := connect(t, h, clientOptions{})
		c.send(call("1", method, ""), call("2", "Text", `"x"`))
		if got := c.next(); len(got) < 60 || got[:60] != `{"type":7,"error":"Connection closed with an error. Argument` {
			t.Errorf("%s: got %s", method, got)
		}
		c.wantEnd()
		c.close()
	}
}

func TestUnknownTypesAreIgnored(t *testing.T) {
	c := detailed(t)
	c.send(`{"type":42}`, `{"type":0}`, `{"type":-1}`, `{"type":8,"sequenceId":1}`, `{"type":9,"sequenceId":1}`, end("zz"), item("zz", "1"), cancel("zz"), call("1", "Text", `"x"`))
	c.want(result("1", `"x"`))
}
