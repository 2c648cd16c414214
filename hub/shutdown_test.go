package hub_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// goodbye invites a client to reconnect.
const goodbye = `{"type":7,"allowReconnect":true}`

// wantHangUp checks that the connection ends without a close message and without a closing
// handshake of its transport.
func (c *client) wantHangUp() {
	c.t.Helper()
	c.wantEnd()
	if !c.conn.hungUp {
		c.t.Error("the connection was closed with a handshake")
	}
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		idle := connect(t, h, clientOptions{id: "idle"})
		busy := connect(t, h, clientOptions{id: "busy"})
		streaming := connect(t, h, clientOptions{id: "streaming"})
		early := dial(t, h, clientOptions{id: "early"})
		stateful := connectStateful(t, h)
		busy.send(call("1", "SendThenWait", `1000,"x"`), call("2", "Text", `"y"`))
		busy.want(started("x"))
		streaming.send(stream("1", "Infinite", ""))
		synctest.Wait()
		done := make(chan error)
		go func() { done <- h.Shutdown(t.Context()) }()
		idle.wantHangUp()
		early.wantHangUp()
		stateful.want(goodbye)
		stateful.wantEnd()
		streaming.want(`{"type":1,"target":"StreamCanceled","arguments":[]}`, end("1"))
		streaming.wantHangUp()
		busy.send(call("3", "Text", `"z"`)) // too late
		busy.want(result("1", `"x"`), result("2", `"y"`))
		busy.wantHangUp()
		if err := <-done; err != nil {
			t.Error(err)
		}
		late := dial(t, h, clientOptions{id: "late"})
		late.wantHangUp()
	})
}

func TestShutdownWithADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		c := connect(t, h, clientOptions{})
		c.send(call("1", "SendThenWait", `100000,"x"`))
		c.want(started("x"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		c.wantHangUp()
	})
}

func TestShutdownWithoutConnections(t *testing.T) {
	if err := hub.New(hub.Options{}).Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Clients leave in slices, evenly over the window, but no slower than 100 a second.
func TestDrainIsSpread(t *testing.T) {
	for _, c := range []struct {
		clients int
		window  time.Duration
		left    []int // how many are there after each slice
	}{
		{clients: 250, window: 500 * time.Millisecond, left: []int{200, 150, 100, 50, 0}},
		{clients: 25, window: time.Hour, left: []int{15, 5, 0}},
		{clients: 25, window: 0, left: []int{0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newLab(hub.Options{})
			clients := make([]*client, c.clients)
			for i := range clients {
				clients[i] = connect(t, h, clientOptions{id: fmt.Sprint(i)})
			}
			done := make(chan error, 1)
			go func() { done <- h.Drain(t.Context(), c.window) }()
			for i, want := range c.left {
				synctest.Wait()
				if got := open(clients); got != want {
					t.Errorf("%d clients, %v: after slice %d there are %d, want %d", c.clients, c.window, i, got, want)
				}
				if want > 0 {
					time.Sleep(100 * time.Millisecond) // of the bubble
				}
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			for _, c := range clients {
				c.wantHangUp()
			}
			dial(t, h, clientOptions{id: "late"}).wantHangUp()
		})
	}
}

// open is how many connections are there.
func open(clients []*client) (n int) {
	for _, c := range clients {
		c.conn.mu.Lock()
		if !c.conn.over() {
			n++
		}
		c.conn.mu.Unlock()
	}
	return n
}

func TestDrainWithADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		for i := range 100 {
			connect(t, h, clientOptions{id: fmt.Sprint(i)})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if err := h.Drain(ctx, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// What runs goes on while its client is asked to leave: an upload may come to its end.
func TestDrainWaitsForUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		c := connect(t, h, clientOptions{})
		c.send(callWith("1", "Upload", "", `"s"`), item("s", "1"))
		synctest.Wait()
		if err := h.Drain(t.Context(), 0); err != nil {
			t.Error(err)
		}
		c.send(item("s", "2"), end("s"))
		c.want(result("1", `"1,2"`))
		c.wantHangUp()
	})
}

// An upload without an end leaves its method the time to conclude.
func TestShutdownEndsUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		c := connect(t, h, clientOptions{})
		c.send(callWith("1", "Upload", "", `"s"`), item("s", "1"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		c.want(result("1", `"1,hub: shutting down"`))
		c.wantHangUp()
	})
}

// An invocation that waits for its own client is one that runs.
func TestShutdownWaitsForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		c := connect(t, h, clientOptions{})
		c.send(call("1", "AskMe", `"Give"`))
		id := c.question("Give")
		done := make(chan error, 1)
		go func() { done <- h.Shutdown(t.Context()) }()
		synctest.Wait()
		c.send(result(id, "42"))
		c.want(result("1", `"got 42"`))
		c.wantHangUp()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
