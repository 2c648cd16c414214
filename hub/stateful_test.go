package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

func (c *fakeConnection) Resume(bool) {}

func (c *fakeConnection) Received() int64 { return c.received.Load() }

// connectStateful connects a client that may reconnect statefully.
func connectStateful(t *testing.T, h *hub.Hub) *client {
	t.Helper()
	c := dial(t, h, clientOptions{info: hub.ConnectInfo{Transport: "WebSockets", Binary: true, StatefulReconnect: true}})
	c.send(`{"protocol":"json","version":2}`)
	c.want(`{}`)
	return c
}

func ack(n int) string      { return fmt.Sprintf(`{"type":8,"sequenceId":%d}`, n) }
func sequence(n int) string { return fmt.Sprintf(`{"type":9,"sequenceId":%d}`, n) }

// reconnect breaks the WebSocket and comes back; what was queued is lost.
func (c *client) reconnect() {
	c.session.Interrupted()
	for len(c.conn.queue) > 0 {
		<-c.conn.queue
	}
	c.session.Resumed()
}

func TestStatefulAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connectStateful(t, newLab(hub.Options{KeepAliveInterval: -1}))
		c.send(call("1", "Text", `"a"`), `{"type":6}`, item("zz", "1"))
		c.want(result("1", `"a"`), ack(2))
		time.Sleep(5 * time.Second) // of the bubble
		synctest.Wait()
		c.quiet()
	})
}

func TestStatefulReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { testStatefulReconnect(t) })
}

func testStatefulReconnect(t *testing.T) {
	h := newLab(hub.Options{})
	c := connectStateful(t, h)
	c.send(call("1", "Text", `"a"`), call("2", "Text", `"b"`))
	c.want(result("1", `"a"`), result("2", `"b"`))
	c.send(ack(1), call("3", "Text", `"c"`))
	c.want(result("3", `"c"`))
	c.sendRaw(call("4", "Text", `"half"`)[:20]) // forgotten
	synctest.Wait()
	c.session.Interrupted()
	_ = h.Clients().All().Send(t.Context(), "M")
	c.session.Resumed()
	c.want(sequence(2), ack(3), result("2", `"b"`), result("3", `"c"`), `{"type":1,"target":"M","arguments":[]}`)
	c.send(sequence(3), call("3", "Text", `"again"`), call("4", "Text", `"d"`))
	c.want(result("4", `"d"`))
	c.send(ack(99), call("5", "Text", `"e"`))
	c.want(result("5", `"e"`))
	synctest.Wait()
	c.reconnect()
	c.want(sequence(6), ack(5), result("5", `"e"`))
}

// A client that says with its request how much it has received gets none of that again. It cannot
// claim messages that were never sent to it.
func TestStatefulReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		c := connectStateful(t, h)
		c.send(call("1", "Text", `"a"`), call("2", "Text", `"b"`), call("3", "Text", `"c"`))
		c.want(result("1", `"a"`), result("2", `"b"`), result("3", `"c"`), ack(3))
		c.conn.received.Store(2)
		c.reconnect()
		c.want(sequence(3), ack(3), result("3", `"c"`))
		c.conn.received.Store(99)
		synctest.Wait()
		c.session.Interrupted()
		_ = h.Clients().All().Send(t.Context(), "M")
		c.session.Resumed()
		c.want(sequence(4), ack(3), `{"type":1,"target":"M","arguments":[]}`)
	})
}

func TestStatefulSequenceBeyondWhatCame(t *testing.T) {
	c := connectStateful(t, newLab(hub.Options{DetailedErrors: true}))
	c.reconnect()
	c.want(sequence(1))
	c.send(sequence(2))
	c.want(fatal(" InvalidOperationException: Sequence ID greater than amount of messages we've received."))
	c.wantEnd()
}

// What comes once more is acknowledged meanwhile, and breaks off.
func TestStatefulBrokenWhileResending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connectStateful(t, newLab(hub.Options{KeepAliveInterval: -1}))
		c.send(item("zz", "1"), item("zz", "2"), item("zz", "3"))
		c.reconnect()
		c.want(sequence(1), ack(3))
		c.send(sequence(1), item("zz", "1"))
		c.want(ack(3))
		c.reconnect()
		c.want(sequence(1), ack(3))
		c.send(sequence(4), call("1", "Text", `"a"`))
		c.want(result("1", `"a"`))
	})
}

func TestStatefulBufferFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{StatefulBufferSize: 1000, KeepAliveInterval: -1})
		h.Handle("SendTimes", hub.Action1(func(ctx context.Context, n int) error {
			for i := range n {
				if err := h.Clients().Caller(ctx).Send(ctx, "Item", i, pad(200)); err != nil {
					return err
				}
			}
			return nil
		}))
		c := connectStateful(t, h)
		c.send(call("1", "SendTimes", "12"))
		items := func(from, to int) {
			t.Helper()
			for i := from; i < to; i++ {
				c.want(fmt.Sprintf(`{"type":1,"target":"Item","arguments":[%d,"%s"]}`, i, pad(200)))
			}
			synctest.Wait()
		}
		items(0, 5)
		c.quiet()
		// More invocations than may wait do not keep the acknowledgement from being read.
		for range 10 {
			c.send(call("3", "Text", `"`+pad(30000)+`"`))
		}
		time.Sleep(3 * time.Second) // of the bubble
		synctest.Wait()
		c.quiet() // and the client learns of nothing more received, so that it stops
		c.send(ack(5))
		items(5, 10)
		c.send(ack(10))
		items(10, 12)
		c.want(result("1", "null"))
		c.send(ack(100))
		for n := 0; n < 10; {
			switch r := c.next(); {
			case strings.Contains(r, `"invocationId":"3"`):
				n++
				c.send(ack(1000))
			case r != ack(12):
				t.Fatalf("got %.80s", r)
			}
		}
	})
}

// An acknowledgement that was lost with its WebSocket must not be waited for for ever.
func TestStatefulLostAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{StatefulBufferSize: 100, KeepAliveInterval: -1})
		c := connectStateful(t, h)
		text := pad(100)
		c.send(call("1", "Text", `"`+text+`"`), call("2", "Text", `"b"`))
		c.want(result("1", `"`+text+`"`), ack(2))
		c.reconnect() // the client's own acknowledgement was on its way, too
		c.want(sequence(1), ack(2), result("1", `"`+text+`"`), result("2", `"b"`))
		c.send(sequence(1), call("1", "Text", `"`+text+`"`), call("2", "Text", `"b"`))
		c.want(ack(2))
	})
}

// Acknowledgements are read behind more of an upload than its method has room for.
func TestStatefulUploadBehindAFullBuffer(t *testing.T) {
	h := newLab(hub.Options{StatefulBufferSize: 100, KeepAliveInterval: -1})
	h.Handle("Mirror", hub.Action1(func(ctx context.Context, u hub.Upload[string]) error {
		for text, err := range u.All() {
			if err != nil {
				return err
			}
			if err := h.Clients().Caller(ctx).Send(ctx, "Item", text); err != nil {
				return err
			}
		}
		return nil
	}))
	c := connectStateful(t, h)
	c.send(callWith("1", "Mirror", "", `"u"`))
	text := pad(100)
	const n = 50
	for range n {
		c.send(item("u", `"`+text+`"`))
	}
	c.send(end("u"))
	for got := 0; got < n; {
		if r := c.next(); strings.Contains(r, `"Item"`) {
			got++
			c.send(ack(got))
		}
	}
	for {
		if r := c.next(); strings.HasPrefix(r, `{"type":3`) {
			break
		}
	}
}

// What came while OnConnected ran is not acknowledged, and comes again.
func TestStatefulReconnectWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		ready := make(chan struct{})
		h.OnConnected(func(context.Context) error { <-ready; return nil })
		c := connectStateful(t, h)
		c.send(call("1", "Text", `"a"`))
		c.sendRaw(call("2", "Text", `"b"`)[:20])
		synctest.Wait()
		c.reconnect()
		c.want(sequence(1))
		c.send(sequence(1), call("1", "Text", `"a"`), call("2", "Text", `"b"`))
		close(ready)
		c.want(result("1", `"a"`), result("2", `"b"`))
	})
}

// It comes when there is room: the client may wait for it.
func TestStatefulAcknowledgementInAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		c := dial(t, h, clientOptions{capacity: 1, info: hub.ConnectInfo{Transport: "WebSockets", Binary: true, StatefulReconnect: true}})
		c.send(`{"protocol":"json","version":2}`)
		c.want(`{}`)
		c.send(call("1", "Text", `"a"`))
		time.Sleep(3 * time.Second) // of the bubble
		c.want(result("1", `"a"`), ack(1))
	})
}

// What there is no room for would be waited for for ever.
func TestStatefulNothingIsLostInAFullQueue(t *testing.T) {
	h := newLab(hub.Options{KeepAliveInterval: -1})
	c := dial(t, h, clientOptions{capacity: 2, info: hub.ConnectInfo{Transport: "WebSockets", Binary: true, StatefulReconnect: true}})
	c.send(`{"protocol":"json","version":2}`)
	c.want(`{}`)
	c.send(call("1", "Text", `"a"`), call("2", "Text", `"b"`), call("3", "Text", `"c"`))
	<-c.conn.closed
	if !c.conn.aborted || !errors.Is(c.conn.cause, hub.ErrSlowConsumer) {
		t.Error(c.conn.cause)
	}
}

// While OnConnected runs no acknowledgement is read that it could wait for.
func TestStatefulOnConnectedSendsMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{StatefulBufferSize: 1000, KeepAliveInterval: -1})
		h.OnConnected(func(ctx context.Context) error {
			for i := range 12 {
				if err := h.Clients().Caller(ctx).Send(ctx, "Item", i, pad(200)); err != nil {
					return err
				}
			}
			return nil
		})
		c := connectStateful(t, h)
		for i := range 12 {
			c.want(fmt.Sprintf(`{"type":1,"target":"Item","arguments":[%d,"%s"]}`, i, pad(200)))
			c.send(ack(i + 1))
		}
		c.send(call("1", "Text", `"a"`))
		c.want(result("1", `"a"`))
	})
}

// A client that is away is not silent: how long it may be is the connection's.
func TestStatefulClientTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connectStateful(t, newLab(hub.Options{KeepAliveInterval: -1}))
		c.send(`{"type":6}`)
		synctest.Wait()
		c.session.Interrupted()
		time.Sleep(time.Minute) // of the bubble
		c.session.Resumed()
		time.Sleep(20*time.Second + time.Second/2) // of the bubble; between two looks at time
		c.send(sequence(1), call("1", "Text", `"a"`))
		c.want(sequence(1), result("1", `"a"`))
		time.Sleep(31 * time.Second) // of the bubble
		c.want(ack(1), fatal(""))
		c.wantEnd()
	})
}

// A client that has said that it leaves is not slow: it gets what is queued, and an orderly end.
func TestStatefulFullQueueBehindTheClientsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		said := make(chan struct{})
		h.Handle("SendLate", hub.Action0(func(ctx context.Context) error {
			<-said
			for h.Clients().Caller(ctx).Send(ctx, "Item") == nil {
			}
			return nil
		}))
		c := dial(t, h, clientOptions{capacity: 2, info: hub.ConnectInfo{Transport: "WebSockets", Binary: true, StatefulReconnect: true}})
		c.send(`{"protocol":"json","version":2}`)
		c.want(`{}`)
		c.send(call("1", "SendLate", ""), `{"type":7}`)
		synctest.Wait()
		close(said)
		<-c.conn.closed
		if c.conn.aborted || c.conn.cause != nil {
			t.Error(c.conn.cause)
		}
	})
}
