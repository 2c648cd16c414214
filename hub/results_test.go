package hub_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// question returns the id of what the client is asked next.
func (c *client) question(target string) string {
	c.t.Helper()
	var m struct {
		Type         int
		InvocationID string
		Target       string
	}
	r := c.next()
	if err := json.Unmarshal([]byte(r), &m); err != nil || m.Type != 1 || m.InvocationID == "" || m.Target != target {
		c.t.Fatalf("got %s, want a question for %s", r, target)
	}
	return m.InvocationID
}

// ask asks a client for an int from outside a method.
func ask(ctx context.Context, h *hub.Hub, id string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		n, err := hub.Invoke[int32](ctx, h.Clients().Client(id), "Result")
		if err != nil {
			answer <- err.Error()
			return
		}
		data, _ := json.Marshal(n)
		answer <- string(data)
	}()
	return answer
}

func TestClientResults(t *testing.T) {
	h := newLab(hub.Options{})
	for _, step := range []struct{ completion, got string }{
		{`"result":10`, "10"},
		{`"error":"no luck"`, "no luck"},
		{`"error":""`, ""},
		{`"result":null`, "Error trying to deserialize result to Int32."},
		{`"result":"ten"`, "Error trying to deserialize result to Int32."},
		{`"result":99999999999`, "Error trying to deserialize result to Int32."},
		{`"x":1`, "Exception of type 'Microsoft.AspNetCore.SignalR.HubException' was thrown."},
	} {
		c := connect(t, h, clientOptions{id: "a"})
		other := connect(t, h, clientOptions{id: "b"})
		answer := ask(t.Context(), h, "a")
		id := c.question("Result")
		other.send(result(id, "11"), call("1", "Void", "")) // must not count
		other.want(fatal(""))
		other.wantEnd()
		c.send(`{"type":3,"invocationId":"`+id+`",`+step.completion+`}`, result(id, "12"))
		if got := <-answer; !strings.HasPrefix(got, step.got) || step.got == "" && got != "" {
			t.Errorf("%s: %s", step.completion, got)
		}
		c.send(call("1", "Text", `"x"`))
		c.want(result("1", `"x"`))
		c.close()
		other.close()
	}
}

func TestClientResultOfOneWhoGoes(t *testing.T) {
	h := newLab(hub.Options{})
	for name, leave := range map[string]func(c *client){
		"hangs up":       func(c *client) { c.close() },
		"close message":  func(c *client) { c.send(`{"type":7}`) },
		"protocol error": func(c *client) { c.send("nonsense") },
	} {
		c := connect(t, h, clientOptions{id: "a"})
		answer := ask(t.Context(), h, "a")
		c.question("Result")
		leave(c)
		if got := <-answer; got != "Connection 'a' disconnected." && (!twoHubs.on || got != "Connection disconnected.") {
			t.Errorf("%s: %s", name, got)
		}
		c.close()
	}
	if got := <-ask(t.Context(), h, "A"); got != "Connection 'A' does not exist." {
		t.Error(got)
	}
}

func TestClientResultWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		c := connect(t, h, clientOptions{id: "a"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		answer := ask(ctx, h, "a")
		id := c.question("Result")
		if got := <-answer; got != context.DeadlineExceeded.Error() {
			t.Error(got)
		}
		c.send(result(id, "1"), call("1", "Void", ""))
		c.want(result("1", "null"))
	})
}

func TestTwoQuestionsAnsweredInReverse(t *testing.T) {
	h := newLab(hub.Options{})
	c := connect(t, h, clientOptions{id: "a"})
	first := ask(t.Context(), h, "a")
	one := c.question("Result")
	second := ask(t.Context(), h, "a")
	two := c.question("Result")
	c.send(result(two, "2"))
	if got := <-second; got != "2" {
		t.Error(got)
	}
	c.send(result(one, "1"))
	if got := <-first; got != "1" {
		t.Error(got)
	}
}

func TestAskingTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := detailed(t)
		c.send(call("1", "AskMe", `"Give"`), call("2", "SendThenWait", `300,"second"`), call("3", "Text", `"third"`))
		id := c.question("Give")
		c.want(started("second"))
		c.send(result(id, "42"))
		c.want(result("2", `"second"`), result("3", `"third"`), result("1", `"got 42"`))
		// Nobody waits: it goes on at once.
		c.send(call("1", "AskMe", `"Give"`), call("2", "SendThenWait", `300,"second"`))
		id = c.question("Give")
		c.want(started("second"))
		c.send(result(id, "42"))
		c.want(result("1", `"got 42"`), result("2", `"second"`))
		c.send(call("1", "AskMe", `"Give"`))
		c.send(`{"type":3,"invocationId":"` + c.question("Give") + `","error":"client says no"}`)
		c.want(failed("1", "An unexpected error occurred invoking 'AskMe' on the server. HubException: client says no"))
	})
}

func TestAskingWhileConnecting(t *testing.T) {
	h := newLab(hub.Options{DetailedErrors: true})
	h.OnConnected(func(ctx context.Context) error {
		_, err := hub.Invoke[int](ctx, h.Clients().Caller(ctx), "Give")
		return err
	})
	c := connect(t, h, clientOptions{})
	c.want(`{"type":7,"error":"Connection closed with an error. InvalidOperationException: Client results inside OnConnectedAsync Hub methods are not allowed."}`)
}

func TestAskingAnAudience(t *testing.T) {
	h := newLab(hub.Options{})
	if _, err := hub.Invoke[int](t.Context(), h.Clients().All(), "Give"); err == nil {
		t.Error("everybody was asked")
	}
}

// A method may leave a question to a goroutine of its own and return.
func TestAskingTheCallerBehindTheMethod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		answers := make(chan int, 1)
		returned := make(chan struct{})
		h.Handle("AskLater", hub.Action0(func(ctx context.Context) error {
			go func() {
				<-returned
				n, _ := hub.Invoke[int](ctx, h.Clients().Caller(ctx), "Give")
				answers <- n
			}()
			return nil
		}))
		c := connect(t, h, clientOptions{})
		c.send(call("1", "AskLater", ""))
		c.want(result("1", "null"))
		synctest.Wait()
		close(returned)
		id := c.question("Give")
		c.send(result(id, "42"))
		if n := <-answers; n != 42 {
			t.Error(n)
		}
		c.send(call("1", "SendThenWait", `1000,"one"`), call("2", "SendThenWait", `1000,"two"`))
		c.want(started("one"), result("1", `"one"`), started("two"), result("2", `"two"`))
	})
}

func TestDisconnectedBehindAnInvocationThatAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		var through bool
		h.Handle("AskThenWait", hub.Action0(func(ctx context.Context) error {
			_, err := hub.Invoke[int](ctx, h.Clients().Caller(ctx), "Give")
			time.Sleep(time.Second) // of the bubble
			through = true
			return err
		}))
		h.OnDisconnected(func(context.Context, error) {
			if !through {
				t.Error("the invocation still runs")
			}
		})
		c := connect(t, h, clientOptions{})
		c.send(call("1", "AskThenWait", ""))
		c.question("Give")
		c.close()
	})
}

// Its time is over whatever runs meanwhile.
func TestAskingTheCallerWithADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		h.Handle("AskInVain", hub.Func0(func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := hub.Invoke[int](ctx, h.Clients().Caller(ctx), "Give")
			return err.Error(), nil
		}))
		c := connect(t, h, clientOptions{})
		c.send(call("1", "AskInVain", ``), call("2", "SendThenWait", `100000,"second"`), call("3", "Text", `"third"`))
		c.question("Give")
		c.want(started("second"), result("1", `"context deadline exceeded"`))
	})
}
