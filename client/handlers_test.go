package client

import (
	"context"
	"testing"
)

// A registration that would replace another one, or could not run, panics.
func TestRegistrationsThatPanic(t *testing.T) {
	t.Parallel()
	unhandled := func(context.Context, string, []any) error { return nil }
	for name, register := range map[string]func(c *HubConnection){
		"second result": func(c *HubConnection) {
			for range 2 {
				c.On("M", Func0(func(context.Context) (int, error) { return 1, nil }))
			}
		},
		"zero handler": func(c *HubConnection) { c.On("M", Handler{}) },
		"second function for unhandled invocations": func(c *HubConnection) {
			c.OnUnhandled(unhandled)
			c.OnUnhandled(unhandled)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("it was taken")
				}
			}()
			register(New("http://localhost", Options{}))
		})
	}
}
