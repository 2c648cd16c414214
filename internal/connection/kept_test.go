package connection

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// once is a poll that answers when it is attached. sent is the result of TryAnswer.
type once struct {
	*mute
	sent bool
}

func (k *once) TryAnswer([]*frame.Frame) (answered, sent bool) { return true, k.sent }

// A carrier may hold its request and the buffers of the HTTP server, so a connection keeps no
// carrier that has ended.
func TestEndedCarrierIsNotKept(t *testing.T) {
	attach := func(t *testing.T, c *Connection, k Carrier) {
		t.Helper()
		if _, err := c.Attach(k, 0); err != nil {
			t.Fatal(err)
		}
	}
	take := func(t *testing.T, c *Connection, k Carrier) {
		t.Helper()
		if frames, _ := c.Next(k, nil); len(frames) != 1 {
			t.Fatalf("it takes %d frames", len(frames))
		}
	}
	for name, test := range map[string]struct {
		kind transports.Type
		// use attaches k to c, which has a queued frame, and ends k.
		use func(t *testing.T, c *Connection, k *once)
	}{
		"a poll that took the queue": {transports.LongPolling, func(t *testing.T, c *Connection, k *once) {
			attach(t, c, k.mute)
			take(t, c, k.mute)
			c.Detach(k.mute, nil)
		}},
		"a poll that a newer one replaced": {transports.LongPolling, func(t *testing.T, c *Connection, k *once) {
			attach(t, c, k.mute)
			take(t, c, k.mute)
			attach(t, c, &mute{})
			c.Detach(k.mute, nil)
		}},
		"a poll that answered at once": {transports.LongPolling, func(t *testing.T, c *Connection, k *once) {
			k.sent = true
			attach(t, c, k)
		}},
		"a poll that answered in two parts": {transports.LongPolling, func(t *testing.T, c *Connection, k *once) {
			attach(t, c, k)
			c.Detach(k, nil)
		}},
		"an event stream that broke": {transports.ServerSentEvents, func(t *testing.T, c *Connection, k *once) {
			if err := c.Open(k.mute, 0); err != nil {
				t.Fatal(err)
			}
			take(t, c, k.mute)
			c.Detach(k.mute, transports.ErrCut)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := queued(t, test.kind)
			defer runtime.KeepAlive(c)
			k := &once{mute: &mute{}}
			kept := weak.Make(k.mute)
			test.use(t, c, k)
			for deadline := time.Now().Add(time.Minute); kept.Value() != nil; runtime.GC() {
				if time.Now().After(deadline) {
					t.Fatal("the connection keeps the carrier")
				}
			}
		})
	}
}

// queued returns a stateful connection with a request and a queued frame.
func queued(t *testing.T, kind transports.Type) *Connection {
	t.Helper()
	registry := NewRegistry(resuming{}, transports.Options{AllowStatefulReconnect: true})
	request := httptest.NewRequest(http.MethodGet, "/hub?id=x", nil)
	c, err := registry.Create(request, true, kind)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Claim(kind, request); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(frame.New([]byte("x"), false)); err != nil {
		t.Fatal(err)
	}
	return c
}
