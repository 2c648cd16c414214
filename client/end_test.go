package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"testing"
	"time"
)

// TestNothingIsLostAtTheEnd: what the server sent before it ended the connection is handled, however
// long the handlers take.
func TestNothingIsLostAtTheEnd(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) {
			l.shake()
			for range 3 {
				l.send(`{"type":1,"target":"Handle","arguments":[]}` + record)
			}
			l.send(`{"type":7}` + record)
			l.end()
			l.untilGone()
		})
		r := w.rig()
		c := r.open(w.url, w.on(transport))
		handled, gone := 0, make(chan int, 1)
		c.On("Handle", Action0(func(ctx context.Context) error {
			if handled++; handled == 1 {
				r.until("the end", func() bool { return c.State() == Disconnected })
			}
			return ctx.Err()
		}))
		c.OnStateChange(func(_ context.Context, s StateChange) {
			if s.To == Disconnected {
				gone <- handled
			}
		})
		r.start(c)
		if n := receive(r, "the end", gone); n != 3 {
			t.Errorf("%d messages of 3 were handled before the end", n)
		}
	})
}

// openWaiting returns a connection that the server will end by itself while a handler waits for its ctx.
func openWaiting(t *testing.T, closeTimeout time.Duration) (*rig, *HubConnection) {
	w := newWire(t, func(l *link) {
		l.shake()
		l.send(`{"type":1,"target":"Handle","arguments":[]}` + record + `{"type":7}` + record)
		l.end()
		l.untilGone()
	})
	r := w.rig()
	o := w.on(WebSockets)
	o.CloseTimeout = closeTimeout
	c := r.open(w.url, o)
	c.On("Handle", Action0(func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}))
	return r, c
}

// TestStopBehindTheEnd: Stop reaches a handler that still runs when the connection has ended by itself.
func TestStopBehindTheEnd(t *testing.T) {
	r, c := openWaiting(t, time.Hour) // it is Stop that ends it
	r.start(c)
	r.until("the end", func() bool { return c.State() == Disconnected })
	if err := c.Stop(r.within()); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// TestHandlerThatWaitsForTheEnd: it does not keep Run, nor what is told behind it, when the connection has
// ended by itself.
func TestHandlerThatWaitsForTheEnd(t *testing.T) {
	r, c := openWaiting(t, soon)
	told := false
	c.OnStateChange(func(_ context.Context, s StateChange) { told = s.To == Disconnected })
	ctx := r.within()
	if err := c.Run(ctx); err != nil || ctx.Err() != nil || !told {
		t.Errorf("Run: %v, %v; told: %v", err, ctx.Err(), told)
	}
}

// TestFailedStartIsOver: behind a start that failed the next one is possible at once.
func TestFailedStartIsOver(t *testing.T) {
	r := &rig{T: t, combo: combos()[0]}
	url := answering(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	c := r.open(url, r.options())
	for range 100 {
		if err := c.Start(r.within()); err == nil || errors.Is(err, ErrAlreadyStarted) {
			t.Fatalf("Start: %v", err)
		}
		if s := c.State(); s != Disconnected {
			t.Fatalf("state %v behind a failed start", s)
		}
	}
}

// TestGivenUpStartWaitsForNoCallback: one of Disconnected may itself be what Start is called in, and
// start again.
func TestGivenUpStartWaitsForNoCallback(t *testing.T) {
	r := &rig{T: t, combo: combos()[0]}
	asked, returned := make(chan struct{}, 1), make(chan struct{})
	url := answering(t, func(_ http.ResponseWriter, q *http.Request) {
		asked <- struct{}{}
		<-q.Context().Done()
	})
	c := r.open(url, r.options())
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Disconnected {
			receive(r, "the end of Start", returned)
		}
	})
	ctx, cancel := context.WithCancel(r.within())
	go func() {
		<-asked
		cancel()
	}()
	if err := c.Start(ctx); !errors.Is(err, context.Canceled) || c.State() != Disconnected {
		t.Errorf("Start: %v; %v", err, c.State())
	}
	close(returned)
}

// TestStopWithRestart: a callback that starts again whatever has ended the connection does not keep Stop.
func TestStopWithRestart(t *testing.T) {
	w := newWire(t, func(l *link) {
		l.shake()
		l.untilGone()
	})
	r := w.rig()
	c := r.open(w.url, w.on(WebSockets))
	again := true
	c.OnStateChange(func(ctx context.Context, s StateChange) {
		if s.To == Disconnected && again {
			again = false
			if err := c.Start(ctx); err != nil {
				t.Errorf("Start: %v", err)
			}
		}
	})
	r.start(c)
	if err := c.Stop(r.within()); err != nil || c.State() != Connected {
		t.Errorf("Stop: %v; %v", err, c.State())
	}
}

// watched is a network connection that knows whether it was closed.
type watched struct {
	net.Conn
	closed atomic.Bool
}

func (w *watched) Close() error {
	w.closed.Store(true)
	return w.Conn.Close()
}

// TestEndLeavesTheNextStartAlone: a connection that was started again keeps its idle network
// connections when the callbacks of its former start end.
func TestEndLeavesTheNextStartAlone(t *testing.T) {
	w := newWire(t, func(l *link) {
		l.shake()
		l.untilGone()
	})
	r := w.rig()
	c := r.open(w.url, w.on(WebSockets))
	dial := c.network.own.DialContext
	c.network.own.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &watched{Conn: conn}, err
	}
	var idle *watched
	c.OnStateChange(func(ctx context.Context, s StateChange) {
		if s.To != Disconnected || idle != nil {
			return
		}
		if err := c.Start(ctx); err != nil {
			t.Errorf("Start: %v", err)
		}
		trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { idle = got.Conn.(*watched) }}
		q, _ := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodOptions, w.url, nil)
		if response, err := c.network.client.Do(q); err != nil {
			t.Error(err)
		} else {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	})
	r.start(c)
	if err := c.Stop(r.within()); err != nil { // waits for the callback
		t.Fatal(err)
	}
	if idle.closed.Load() {
		t.Error("the end of the former start closed a network connection of the next one")
	}
}

// TestEndInHandshake: a server that ends the transport in order before it answered the handshake has
// refused the connection, which is no end in order of it.
func TestEndInHandshake(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) {
			l.expect(`{"protocol":"json","version":1}`)
			l.end()
			l.untilGone()
		})
		r := w.rig()
		c := r.open(w.url, w.on(transport))
		var last error
		c.OnStateChange(func(_ context.Context, s StateChange) { last = s.Err })
		if err := c.Run(r.within()); err == nil || last == nil {
			t.Errorf("Run: %v; the last change: %v", err, last)
		}
	})
}

// TestReconnectBehindSlowHandler: a handler that waits for the connection to be back gets it, however many
// messages wait behind it.
func TestReconnectBehindSlowHandler(t *testing.T) {
	var links atomic.Int32
	w := newWire(t, func(l *link) {
		l.shake()
		if links.Add(1) == 1 {
			for range 2 * maxChanges {
				l.send(`{"type":1,"target":"Handle","arguments":[]}` + record)
			}
			l.expect(`{"type":1,"invocationId":"1","target":"Wait","arguments":[]}`)
			l.send(`{"type":3,"invocationId":"1"}` + record)
		}
		l.untilGone()
	})
	r := w.rig()
	o := w.on(WebSockets)
	o.Reconnect = ReconnectAfter(0)
	c := r.open(w.url, o)
	handled := make(chan struct{}, 2*maxChanges)
	c.On("Handle", Action0(func(context.Context) error {
		r.until("the new connection", func() bool { return links.Load() == 2 && c.State() == Connected })
		handled <- struct{}{}
		return nil
	}))
	r.start(c)
	if err := c.Invoke(r.within(), "Wait"); err != nil { // all that came before is there
		t.Fatal(err)
	}
	w.link("t" + tokenTail).cut()
	for range 2 * maxChanges {
		receive(r, "a message", handled)
	}
}
