package hub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/carillon-go/carillon/hub"
)

// Items of all uploads of a client together have a bound, and each upload takes one all the same.
func TestUploadsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		release := make(chan struct{})
		h.Handle("Hold", hub.Func1(func(_ context.Context, items hub.Upload[string]) (int, error) {
			<-release
			return count(items), nil
		}))
		c := connect(t, h, clientOptions{})
		const uploads, each, size = 90, 10, 30_000
		for i := range uploads {
			c.send(callWith(fmt.Sprint(i), "Hold", "", fmt.Sprintf("%q", fmt.Sprint("u", i))))
		}
		calls := c.conn.held.Load()
		done := make(chan struct{})
		go func() { // awaited below
			defer close(done)
			for i := range uploads * each {
				id := fmt.Sprint("u", i%uploads)
				c.in <- []byte(item(id, `"`+pad(size)+`"`) + "\x1e")
			}
			for i := range uploads {
				c.in <- []byte(end(fmt.Sprint("u", i)) + "\x1e")
			}
		}()
		synctest.Wait()
		if held := c.conn.held.Load() - calls; held < 1<<20 || held > 1<<20+size+2 {
			t.Errorf("%d bytes are held", held)
		}
		close(release)
		<-done
		for range uploads {
			if r := c.next(); !strings.HasSuffix(r, fmt.Sprintf(`"result":%d}`, each)) {
				t.Errorf("got %s", r)
			}
		}
	})
}

// A client that answers nothing does not pin one goroutine after the other.
func TestResultsThatAClientOwes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		c := connect(t, h, clientOptions{capacity: 5000})
		var asked []string
		for i := range 150 {
			c.send(call(fmt.Sprint("c", i), "AskMe", `"Give"`))
			synctest.Wait()
		}
		refused := 0
		for len(asked)+refused < 150 {
			switch r := c.next(); {
			case strings.Contains(r, `"target":"Give"`):
				asked = append(asked, strings.Split(r, `"`)[5])
			case strings.HasSuffix(r, `HubException: More results are awaited than a connection may owe."}`):
				refused++
			default:
				t.Fatalf("got %s", r)
			}
		}
		if len(asked) != 100 || h.Refusals().Results != 50 {
			t.Errorf("%d were asked for, %d refused", len(asked), h.Refusals().Results)
		}
		for _, id := range asked {
			c.send(result(id, "1"))
		}
		for range asked {
			if r := c.next(); !strings.HasSuffix(r, `"result":"got 1"}`) {
				t.Fatalf("got %s", r)
			}
		}
		c.send(call("again", "AskMe", `"Give"`))
		c.send(result(c.question("Give"), "2"))
		c.want(result("again", `"got 2"`))
	})
}

// Others may ask one client for many more, but not for any number.
func TestResultsThatAClientOwesToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		c := connect(t, h, clientOptions{id: "1", capacity: 5000})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		errs := make(chan error, 1001)
		for range 1001 {
			go func() { // awaited below
				_, err := hub.Invoke[int](ctx, h.Clients().Client("1"), "Give")
				errs <- err
			}()
		}
		synctest.Wait()
		if err := <-errs; err == nil || !strings.Contains(err.Error(), "More results are awaited") {
			t.Error(err)
		}
		if len(errs) > 0 {
			t.Errorf("%d more have ended", len(errs))
		}
		if held := c.conn.held.Load(); held != 1000*8<<10 {
			t.Errorf("%d bytes are held", held)
		}
		cancel()
		for range 1000 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}

// While too much waits in all connections a stateful client that holds something gets nothing
// more: what can wait waits for its acknowledgement, the rest ends the connection.
func TestStatefulClientsInAFullHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		c := connectStateful(t, h)
		c.conn.full.Store(true)
		c.send(call("1", "Text", `"a"`), call("2", "Text", `"b"`))
		c.want(result("1", `"a"`))
		synctest.Wait()
		c.quiet()
		if held := c.conn.held.Load(); held == 0 {
			t.Error("what is kept is not counted")
		}
		c.send(ack(1))
		c.want(result("2", `"b"`))
		if err := h.Clients().All().Send(t.Context(), "M"); err != nil {
			t.Error(err)
		}
		<-c.conn.closed
		if !errors.Is(c.conn.cause, hub.ErrSlowConsumer) {
			t.Error(c.conn.cause)
		}
	})
}

// A client that may come back may leave half of what may wait for it unacknowledged, and gets all of it when it comes back.
func TestStatefulBurst(t *testing.T) {
	h := newLab(hub.Options{KeepAliveInterval: -1})
	c := connectStateful(t, h)
	c.conn.room.Store(16 << 20)
	const count, size = 200, 30_000
	send := func() {
		if err := h.Clients().All().Send(t.Context(), "M", pad(size)); err != nil {
			t.Fatal(err)
		}
	}
	for range count {
		send()
	}
	c.session.Interrupted()
	for len(c.conn.queue) > 0 {
		<-c.conn.queue
	}
	c.session.Resumed()
	c.want(sequence(1))
	for i := range count {
		if r := c.next(); !strings.Contains(r, `"target":"M"`) {
			t.Fatalf("message %d: %.80s", i, r)
		}
	}
	c.conn.room.Store(count * size) // others wait too
	send()
	<-c.conn.closed
	if !errors.Is(c.conn.cause, hub.ErrSlowConsumer) {
		t.Error(c.conn.cause)
	}
}

// While all connections together hold too much, only what is refused counts as refused.
func TestOnlyRefusalsCountAsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connectStateful(t, newLab(hub.Options{KeepAliveInterval: -1}))
		c.conn.full.Store(true)
		c.send(call("1", "AskMe", `"Give"`)) // the only result that is pending
		c.send(result(c.question("Give"), "1"))
		synctest.Wait() // the completion finds no room behind the question
		c.send(ack(1))
		c.want(result("1", `"got 1"`), ack(2))
		c.send(ack(2))
		synctest.Wait()
		before := c.conn.hits.Load()
		c.reconnect()
		c.want(sequence(3), ack(2))
		c.close()
		if n := c.conn.hits.Load() - before; n != 0 || before > 1 {
			t.Errorf("%d refusals before the resumption, %d after it", before, n)
		}
	})
}
