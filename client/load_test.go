package client

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The long forms take 100000 messages and 1000 losses.
var (
	many   = flag.Int("messages", 10_000, "messages of each transport and protocol in the tests of their order")
	losses = flag.Int("losses", 200, "losses of the connection by each transport in TestReconnectsDoNotLeak")
)

func TestOriginalOrder(t *testing.T) { orderDown(t, original(t)) }

func TestCarillonOrder(t *testing.T) { orderDown(t, carillon(t)) }

// orderDown has the server send many messages and looks at their numbers.
func orderDown(t *testing.T, server string) {
	t.Helper()
	const batch = 1000 // what a server may keep for a client that is slower than itself
	for _, combo := range combos() {
		t.Run(combo.String(), func(t *testing.T) {
			r := &rig{T: t, server: server, combo: combo}
			c := r.open(server+"/lab", r.options())
			var got, wrong atomic.Int32
			c.On("Item", Action2(func(_ context.Context, i int, _ string) error {
				if int32(i) != got.Load()%batch {
					wrong.Add(1)
				}
				got.Add(1)
				return nil
			}))
			r.start(c)
			n := *many
			for range n / batch {
				if err := c.Invoke(t.Context(), "SendTimes", batch, 10); err != nil {
					t.Fatal(err)
				}
			}
			r.until("all messages", func() bool { return int(got.Load()) == n })
			if wrong.Load() != 0 {
				t.Errorf("%d messages were not in order", wrong.Load())
			}
		})
	}
}

// TestOrderUp sends many messages as fast as they are taken.
func TestOrderUp(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		n := *many
		done := make(chan struct{})
		w := newWire(t, func(l *link) {
			defer close(done)
			l.shake()
			for i := range n {
				if line, err := l.next(); err != nil || line != fmt.Sprintf(`{"type":1,"target":"M","arguments":[%d]}`, i) {
					l.Errorf("message %d is %q, %v", i, line, err)
					break
				}
			}
			go l.untilGone()
		})
		o := w.on(transport)
		o.KeepAliveInterval = -1 // pings would stand between the messages
		r := w.rig()
		c := r.start(r.open(w.url, o))
		for i := range n {
			if err := c.Send(t.Context(), "M", i); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the messages did not all arrive")
		}
	})
}

// TestReconnectsDoNotLeak loses a connection often, each time with a call in flight, an upload and
// a stream.
func TestReconnectsDoNotLeak(t *testing.T) {
	times := *losses
	each(t, func(t *testing.T, transport Transport) {
		w := newWire(t, func(l *link) {
			l.shake()
			for range 3 {
				if _, err := l.next(); err != nil {
					return
				}
			}
			l.cut()
			l.untilGone()
		})
		o := w.on(transport)
		o.Reconnect = func(Retry) (time.Duration, bool) { return 0, true }
		r := w.rig()
		c := r.open(w.url, o)
		connected := make(chan int, times+10)
		count := 0
		c.OnStateChange(func(_ context.Context, s StateChange) {
			if s.To == Connected {
				count++
				connected <- count
			}
		})
		r.start(c)
		early := 0
		for n := 0; n < times; {
			n = receive(r, "the connection again", connected)
			if n == times/10 {
				early = runtime.NumGoroutine()
			}
			lost := make(chan error, 2)
			go func() { lost <- c.Invoke(t.Context(), "Call", UploadChan(make(chan int))) }()
			go func() {
				_, err := collect(Stream[int](t.Context(), c, "Stream"))
				lost <- err
			}()
			_ = c.Send(t.Context(), "Last") // or the connection is gone already
			for range 2 {
				if err := receive(r, "the end of a call", lost); err == nil || !strings.HasPrefix(err.Error(), "client: ") {
					t.Fatalf("a call ended with %v", err)
				}
			}
		}
		r.until(fmt.Sprintf("as many goroutines as at the beginning (%d)", early), func() bool { return runtime.NumGoroutine() <= early+10 })
		if err := c.Stop(r.within()); err != nil {
			t.Error(err)
		}
	})
}
