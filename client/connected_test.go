package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// waitsUntilConnected: a service that starts before its server waits for it, and again when the connection is lost.
func waitsUntilConnected(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	proxy.refuse.Store(true)
	c := r.open(proxy.through(r.server)+"/testhub", r.options())
	c.options.Reconnect = ReconnectForever(time.Millisecond, 100*time.Millisecond)
	lost := make(chan struct{}, 10)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Reconnecting {
			lost <- struct{}{}
		}
	})
	waited := make(chan error, 1)
	wait := func() { waited <- c.WaitConnected(r.within()) }
	go wait()
	go func() { _ = c.Run(r.Context()) }()
	r.until("two refused attempts", func() bool { return proxy.refused.Load() >= 2 })
	for range 2 {
		select {
		case err := <-waited:
			r.Fatalf("WaitConnected did not wait: %v", err)
		default:
		}
		proxy.mend()
		if err := receive(r, "the connection", waited); err != nil {
			r.Fatalf("WaitConnected: %v", err)
		}
		r.echo(c, "connected")
		if err := c.WaitConnected(r.within()); err != nil {
			r.Fatalf("WaitConnected of a connection: %v", err)
		}
		proxy.fail()
		receive(r, "the loss", lost)
		go wait()
	}
	proxy.mend()
	if err := receive(r, "the last connection", waited); err != nil {
		r.Fatalf("WaitConnected: %v", err)
	}
}

// callsBackOnEachConnection: OnConnected runs for each connection, may call the hub, and may fail.
func callsBackOnEachConnection(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	c := r.open(proxy.through(r.server)+"/testhub", r.options())
	c.options.Reconnect = ReconnectForever(time.Millisecond, 100*time.Millisecond)
	ids, answers, lost := make(chan string, 10), make(chan error, 10), make(chan struct{}, 10)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Reconnecting {
			lost <- struct{}{}
		}
	})
	c.OnConnected(func(ctx context.Context) error {
		_, err := Invoke[string](ctx, c, "Echo", "joined")
		answers <- err
		ids <- c.ConnectionID()
		return errors.New("this goes to the log")
	})
	r.start(c)
	first := receive(r, "the first connection", ids)
	if err := receive(r, "the answer to the callback", answers); err != nil {
		r.Fatalf("a call by the callback failed: %v", err)
	}
	r.echo(c, "the connection continues")
	proxy.fail()
	receive(r, "the loss", lost)
	proxy.mend()
	if second := receive(r, "the second connection", ids); second == first {
		r.Errorf("the callback ran twice for %s", first)
	}
}

// TestWaitConnectedEnds: it does not wait for a connection that will not come.
func TestWaitConnectedEnds(t *testing.T) {
	t.Parallel()
	r := &rig{T: t, combo: combos()[0]}
	refuses := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	never := r.open(refuses, r.options())
	ctx, cancel := context.WithCancelCause(r.Context())
	cause := errors.New("no more patience")
	cancel(cause)
	if err := never.WaitConnected(ctx); !errors.Is(err, cause) {
		t.Errorf("after the end of ctx: %v", err)
	}
	if err := New("gopher://x", Options{}).WaitConnected(r.within()); err == nil || !strings.Contains(err.Error(), "gopher") {
		t.Errorf("for an invalid URL: %v", err)
	}
	waited := make(chan error, 1)
	ended := func(c *HubConnection, end func()) error {
		t.Helper()
		go func() { waited <- c.WaitConnected(r.within()) }()
		end()
		err := receive(r, "the end of WaitConnected", waited)
		if again := c.WaitConnected(r.within()); !errors.Is(err, ErrNotConnected) || !errors.Is(again, ErrNotConnected) {
			t.Errorf("WaitConnected: %v, again: %v", err, again)
		}
		return err
	}
	refused := new(HTTPError)
	if err := ended(never, func() { _ = never.Start(r.within()) }); !errors.As(err, &refused) {
		t.Errorf("after a start that failed: %v", err)
	}
	stopped := r.open(refuses, r.options())
	stopped.options.Reconnect = func(Retry) (time.Duration, bool) { return time.Hour, true }
	err := ended(stopped, func() {
		go func() { _ = stopped.Run(r.Context()) }()
		r.until("Run", func() bool { return stopped.State() == Connecting })
		if err := stopped.Stop(r.within()); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, ErrNotConnected) || errors.As(err, &refused) {
		t.Errorf("after Stop: %v", err)
	}
}
