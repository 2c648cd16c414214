package hub_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/carillon-go/carillon/hub"
)

// official counts what comes as the official JavaScript client does: after a break it goes on
// from the number in the Sequence message, but acknowledges the highest number that it ever had.
type official struct {
	*client
	next, latest int
}

func connectOfficial(t *testing.T, h *hub.Hub) *official {
	return &official{client: connectStateful(t, h), next: 1}
}

// receive takes so many counted messages.
func (c *official) receive(n int) {
	c.t.Helper()
	for range n {
		if r := c.nextRecord(); !strings.HasPrefix(r, `{"type":1`) {
			c.t.Fatalf("got %s", r)
		}
		c.latest = max(c.latest, c.next)
		c.next++
	}
}

func (c *official) nextRecord() string { c.t.Helper(); return c.client.next() }

// acknowledge is what its timer does.
func (c *official) acknowledge() { c.send(ack(c.latest)); synctest.Wait() }

// resume breaks the connection and comes back; it fails as the client does.
func (c *official) resume() (first int) {
	c.t.Helper()
	c.records = nil
	c.reconnect()
	text, ok := strings.CutPrefix(c.nextRecord(), `{"type":9,"sequenceId":`)
	first, err := strconv.Atoi(strings.TrimSuffix(text, "}"))
	if !ok || err != nil {
		c.t.Fatalf("got %s", text)
	}
	if first > c.next {
		c.t.Fatalf("Sequence ID greater than amount of messages we've received: %d, not %d", first, c.next)
	}
	c.next = first
	return first
}

// sendItems has the hub send so many messages of 100 bytes and more to the client.
func (c *official) sendItems(h *hub.Hub, n int) {
	c.t.Helper()
	for i := range n {
		if err := h.Clients().All().Send(c.t.Context(), "Item", i, pad(100)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// A client that is cut in the middle of a replay is not told a number that it has not come to.
func TestStatefulAcknowledgementsDuringAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		c := connectOfficial(t, h)
		c.sendItems(h, 10)
		c.receive(10)
		for _, n := range []int{0, 3, 7} {
			c.resume()
			c.receive(n)
			c.acknowledge() // of all 10
		}
		c.sendItems(h, 1)
		c.resume()
		c.receive(11)
		c.acknowledge()
		c.sendItems(h, 1)
		c.receive(1)
		c.acknowledge() // of 12, which is new on this carrier
		c.sendItems(h, 1)
		if first := c.resume(); first != 13 {
			t.Errorf("what was caught up with is sent again, from %d", first)
		}
		c.receive(1)
	})
}

// Two acknowledgements on one carrier show how far the client has come.
func TestStatefulReplayLongerThanACarrierLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		c := connectOfficial(t, h)
		c.sendItems(h, 10)
		c.receive(5) // and the rest is lost on the way
		c.resume()
		c.receive(5)
		c.acknowledge()
		c.receive(2)
		c.acknowledge()
		if first := c.resume(); first != 8 {
			t.Errorf("it begins at %d", first)
		}
		c.receive(3)
	})
}

// Acknowledgements during a replay make room, and what is kept of the acknowledged has a bound.
func TestStatefulRoomDuringAReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1, StatefulBufferSize: 1000})
		c := connectOfficial(t, h)
		c.sendItems(h, 10)
		c.receive(10)
		c.resume()
		c.send(call("1", "Text", `"x"`)) // the one for which there is always room
		c.send(call("2", "Text", `"y"`)) // waits for room
		c.receive(10)
		c.nextRecord()
		synctest.Wait()
		c.quiet()
		c.send(ack(10))
		c.want(result("2", `"y"`))
		const all, each = 8 << 20, 900 << 10
		for range all / each {
			if err := h.Clients().All().Send(t.Context(), "Item", 0, pad(each)); err != nil {
				t.Fatal(err)
			}
			c.next += 2
			c.latest = c.next
			c.nextRecord()
			c.reconnect() // the acknowledgement comes late
			c.send(ack(1 << 30))
			synctest.Wait()
			for len(c.conn.queue) > 0 {
				<-c.conn.queue
			}
			if kept := c.session.Kept(); kept > 2<<20 {
				t.Fatalf("%d bytes are kept", kept)
			}
		}
	})
}

// A client that never catches up is not sent the same for ever.
func TestStatefulReplayWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		c := connectOfficial(t, h)
		c.sendItems(h, 10)
		c.receive(6)
		for range 1 + hub.MaxSpareResumptions {
			if first := c.resume(); first != 1 {
				t.Fatalf("it begins at %d", first)
			}
			c.receive(6)
			c.acknowledge()
		}
		for range 2 {
			if first := c.resume(); first != 7 {
				t.Errorf("it begins at %d", first)
			}
			c.receive(4)
			c.acknowledge()
		}
	})
}
