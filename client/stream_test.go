package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestCancelledStreamEnds: a loop that never catches up with the server ends with its ctx all the same.
func TestCancelledStreamEnds(t *testing.T) {
	onTape(t, Options{}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		go func() {
			synctest.Wait() // the stream is known
			for range 5 {
				tape.feed <- `{"type":2,"invocationId":"1","item":1}` + record
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		items := 0
		for _, err := range Stream[int](ctx, c, "Stream") {
			if err != nil {
				if !errors.Is(err, context.Canceled) || items != 1 {
					t.Errorf("%v behind %d items", err, items)
				}
				break
			}
			items++
			synctest.Wait() // the others wait for the loop
			cancel()
		}
	})
}

// endingCall ends all calls of its session while an item for it is handled.
type endingCall struct {
	*reply
	calls *calls
}

func (e endingCall) item(ctx context.Context, raw []byte) error {
	e.calls.failAll(ErrStopped)
	return e.reply.item(ctx, raw)
}

// TestItemWhileCallsEnd: Stop ends the calls while the reader refuses an item of one of them.
func TestItemWhileCallsEnd(t *testing.T) {
	onTape(t, Options{}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		s := c.session.Load()
		call := endingCall{&reply{done: make(chan struct{})}, s.calls}
		if err := s.calls.add("1", call); err != nil {
			t.Fatal(err)
		}
		tape.feed <- `{"type":2,"invocationId":"1","item":1}` + record
		<-call.done
		synctest.Wait()
		if !errors.Is(call.err, ErrStopped) {
			t.Errorf("the call ended with %v", call.err)
		}
	})
}

// trap is what an application may hand to the client without knowing.
type trap struct{}

func (*trap) UnmarshalJSON([]byte) error { panic("trap") }

// TestPanickingResults: a result that panics when it is read ends its call.
func TestPanickingResults(t *testing.T) {
	onTape(t, Options{}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		go func() {
			synctest.Wait() // the call is there
			tape.feed <- `{"type":3,"invocationId":"1","result":{}}` + record
		}()
		if _, err := Invoke[trap](t.Context(), c, "Get"); err == nil {
			t.Error("the result was read")
		}
		go func() {
			synctest.Wait()
			tape.feed <- `{"type":2,"invocationId":"2","item":{}}` + record
		}()
		for _, err := range Stream[trap](t.Context(), c, "Stream") {
			if err == nil {
				t.Error("the item was read")
			}
		}
		if c.session.Load().ctx.Err() != nil {
			t.Error("the connection ended")
		}
	})
}
