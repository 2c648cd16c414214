package hub_test

import (
	"context"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

// hostile is a value whose own encoding and decoding panic.
type hostile struct{ Name string }

func (hostile) MarshalJSON() ([]byte, error) { panic("encode") }
func (*hostile) UnmarshalJSON([]byte) error  { panic("decode") }
func (hostile) MarshalText() ([]byte, error) { panic("encode") }
func (*hostile) UnmarshalText([]byte) error  { panic("decode") }

// A panic of a value's own code ends one invocation, or the connection that it was for.
func TestPanicsOfValues(t *testing.T) {
	h := newLab(hub.Options{DetailedErrors: true})
	h.Handle("Take", hub.Action1(func(context.Context, hostile) error { return nil }))
	h.Handle("Give", hub.Func0(func(context.Context) (hostile, error) { return hostile{}, nil }))
	c := connect(t, h, clientOptions{})
	if err := h.Clients().All().Send(t.Context(), "M", hostile{}); err == nil {
		t.Error("a broadcast that cannot be encoded: no error")
	}
	c.send(call("1", "Take", `"x"`))
	if got := c.next(); !strings.HasPrefix(got, `{"type":3,"invocationId":"1","error":"Failed to invoke 'Take'`) {
		t.Errorf("got %s", got)
	}
	c.send(call("2", "Give", ""))
	if got := c.next(); !strings.HasPrefix(got, `{"type":7,"error":"Connection closed with an error.`) {
		t.Errorf("got %s", got)
	}
	c.wantEnd()
}
