package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

func restart(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	seen := make(map[string]bool)
	for range 3 {
		r.start(c)
		r.echo(c, "again")
		if id := c.ConnectionID(); seen[id] {
			r.Errorf("id %s came twice", id)
		} else {
			seen[id] = true
		}
		if err := c.Stop(r.within()); err != nil {
			r.Errorf("Stop: %v", err)
		}
	}
}

func restartInCallback(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	again := make(chan error, 1)
	var ended atomic.Int32
	c.OnStateChange(func(ctx context.Context, s StateChange) {
		if s.To == Disconnected && ended.Add(1) == 1 {
			again <- c.Start(ctx)
		}
	})
	r.start(c)
	go func() { _ = c.Stop(context.Background()) }()
	if err := receive(r, "Start in the callback", again); err != nil {
		r.Fatalf("Start in the callback: %v", err)
	}
	r.echo(c, "x")
}

func stopInHandler(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	ended := make(chan error, 1)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Disconnected {
			ended <- s.Err
		}
	})
	c.On("Message", Action1(func(ctx context.Context, _ string) error { return c.Stop(ctx) }))
	r.start(c)
	if err := c.Send(r.within(), "InvokeWithString", "x"); err != nil {
		r.Fatal(err)
	}
	if err := receive(r, "the end", ended); err != nil {
		r.Errorf("ended with %v", err)
	}
}

func serverCloses(r *rig) {
	c := r.open(r.server+"/uncreatable", r.options())
	c.options.Reconnect = ReconnectAfter(0, 0)
	changes := make(chan StateChange, 10)
	c.OnStateChange(func(_ context.Context, s StateChange) { changes <- s })
	r.start(c)
	var last StateChange
	for last.To != Disconnected || last.From == Disconnected {
		if last = receive(r, "the end", changes); last.To == Reconnecting {
			r.Error("reconnects after a close that does not allow it")
		}
	}
	closed := new(CloseError)
	if !errors.As(last.Err, &closed) || !strings.HasPrefix(closed.Message, "Connection closed with an error. InvalidOperationException: Unable to resolve service") {
		r.Errorf("ended with %v", last.Err)
	}
}

func closedForAWhile(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	c.options.Reconnect = ReconnectAfter(0, time.Second)
	changes := make(chan StateChange, 10)
	c.OnStateChange(func(_ context.Context, s StateChange) { changes <- s })
	r.start(c)
	id := c.ConnectionID()
	err := c.Invoke(r.within(), "Echo", strings.Repeat("x", 40000))
	const tooBig = "Connection closed with an error. InvalidDataException: The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions."
	closed := new(CloseError)
	if !errors.Is(err, ErrConnectionLost) || !errors.As(err, &closed) || closed.Message != tooBig || !closed.AllowReconnect {
		r.Errorf("the call that was too big: %v", err)
	}
	for receive(r, "the connection again", changes).From != Reconnecting {
	}
	r.echo(c, "still")
	if c.ConnectionID() == id {
		r.Error("the id did not change")
	}
}

func reconnects(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	c := r.open(proxy.through(r.server)+"/testhub", r.options())
	c.options.Reconnect = ReconnectForever(10*time.Millisecond, 100*time.Millisecond)
	changes := make(chan StateChange, 20)
	c.OnStateChange(func(ctx context.Context, s StateChange) {
		if s.To == Connected {
			if _, err := Invoke[string](ctx, c, "Echo", "in the callback"); err != nil {
				r.Errorf("Echo in the callback: %v", err)
			}
		}
		changes <- s
	})
	got := make(chan string, 20)
	c.On("Message", Action1(func(_ context.Context, s string) error { got <- s; return nil }))
	r.start(c)
	next := func(from, to State) StateChange {
		r.Helper()
		s := receive(r, to.String(), changes)
		if s.From != from || s.To != to {
			r.Fatalf("%v to %v (%v), want %v to %v", s.From, s.To, s.Err, from, to)
		}
		return s
	}
	next(Disconnected, Connecting)
	id := next(Connecting, Connected).ConnectionID
	for i := range 3 {
		pending := make(chan error, 1)
		items := make(chan string)
		go func() { pending <- c.Invoke(r.within(), "StreamingConcat", UploadChan(items)) }()
		items <- "x"
		r.echo(c, "before")
		proxy.fail()
		if s := next(Connected, Reconnecting); s.Err == nil {
			r.Error("reconnecting without a reason")
		}
		if err := receive(r, "the call in flight", pending); !errors.Is(err, ErrConnectionLost) {
			r.Errorf("the call in flight: %v", err)
		}
		if i == 2 {
			refused := proxy.refused.Load()
			r.until("two refused attempts", func() bool { return proxy.refused.Load() >= refused+2 })
			if err := c.Invoke(r.within(), "Echo", "x"); !errors.Is(err, ErrNotConnected) {
				r.Errorf("Echo while reconnecting: %v", err)
			}
		}
		proxy.mend()
		s := next(Reconnecting, Connected)
		if s.ConnectionID == id || s.ConnectionID != c.ConnectionID() || s.Transport != r.combo.transport {
			r.Errorf("reconnected: %+v", s)
		}
		id = s.ConnectionID
		if err := c.Invoke(r.within(), "InvokeWithString", "after"); err != nil {
			r.Error(err)
		}
		receive(r, "a message after reconnecting", got)
	}
}

func givesUp(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	c := r.open(proxy.through(r.server)+"/testhub", r.options())
	var attempts []int
	c.options.Reconnect = func(a Retry) (time.Duration, bool) {
		attempts = append(attempts, a.Attempts)
		return 0, a.Attempts < 2
	}
	ended := make(chan error, 1)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Disconnected {
			ended <- s.Err
		}
	})
	r.start(c)
	proxy.fail()
	err := receive(r, "the end", ended)
	if err == nil || !strings.Contains(err.Error(), "exhausted after 2 failed attempts") || !slices.Equal(attempts, []int{0, 1, 2}) {
		r.Errorf("ended with %v after attempts %v", err, attempts)
	}
}

func notAsked(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	c := r.open(proxy.through(r.server)+"/testhub", r.options())
	ended := make(chan StateChange, 1)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Disconnected || s.To == Reconnecting {
			ended <- s
		}
	})
	r.start(c)
	proxy.fail()
	if s := receive(r, "the end", ended); s.To != Disconnected || s.Err == nil {
		r.Errorf("got %v, %v", s.To, s.Err)
	}
	proxy.mend()
	r.start(c)
	r.echo(c, "again")
}

func runs(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	proxy.refuse.Store(true)
	c := New(proxy.through(r.server)+"/testhub", r.options())
	if err := c.Run(r.within()); err == nil {
		r.Error("Run without a policy went on although nothing is there")
	}
	c.options.Reconnect = ReconnectForever(time.Millisecond, 10*time.Millisecond)
	connected := make(chan struct{}, 1)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Connected {
			connected <- struct{}{}
		}
	})
	ctx, cancel := context.WithCancel(r.within())
	result := make(chan error, 1)
	go func() { result <- c.Run(ctx) }()
	r.until("three refused attempts", func() bool { return proxy.refused.Load() >= 3 })
	proxy.refuse.Store(false)
	receive(r, "the connection", connected)
	r.echo(c, "x")
	cancel()
	if err := receive(r, "the end of Run", result); err != nil {
		r.Errorf("Run: %v", err)
	}
}
