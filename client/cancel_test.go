package client

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestOriginalCancel(t *testing.T) { runCancel(t, original(t)) }

func TestCarillonCancel(t *testing.T) { runCancel(t, carillon(t)) }

func runCancel(t *testing.T, server string) {
	t.Helper()
	for _, c := range combos() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			methodsCancelled(&rig{T: t, server: server, combo: c})
		})
	}
}

// methodsCancelled: the end of ctx ends Invoke at once and cancels the method, which runs or waits for its turn. The
// completions that come later do no harm, and are counted where the connection is stateful.
func methodsCancelled(r *rig) {
	o := r.options()
	o.StatefulReconnect = true
	c := r.open(r.server+"/lab-small", o)
	told := make(chan string, 2)
	c.On("Cancelled", Action1(func(_ context.Context, s string) error { told <- s; return nil }))
	r.start(c)
	cancelled := func(name string) {
		ctx, cancel := context.WithCancel(r.within())
		time.AfterFunc(100*time.Millisecond, cancel) // when the call is there; if not, the server tells nothing
		if _, err := Invoke[string](ctx, c, "WaitOrCancel", 60_000, name); !errors.Is(err, context.Canceled) {
			r.Errorf("a cancelled call ended with %v", err)
		}
	}
	cancelled("running")
	if name := receive(r, "the end of the method", told); name != "running" {
		r.Errorf("%q was cancelled", name)
	}
	first := make(chan error, 1)
	go func() { first <- c.Invoke(r.within(), "Wait", 500, "first") }()
	r.until("the first call", func() bool { return openCalls(c) == 1 })
	cancelled("waiting")
	if err := receive(r, "the call before it", first); err != nil {
		r.Error(err)
	}
	if name := receive(r, "the end of the method that waited", told); name != "waiting" {
		r.Errorf("%q was cancelled", name)
	}
	if text, err := Invoke[string](r.within(), c, "Text", "still"); err != nil || text != "still" {
		r.Errorf("Text: %q, %v", text, err)
	}
}

func openCalls(c *HubConnection) int {
	calls := c.session.Load().calls
	calls.mu.Lock()
	defer calls.mu.Unlock()
	return len(calls.open)
}
