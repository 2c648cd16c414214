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
