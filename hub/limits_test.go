package hub_test

import (
	"context"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// A client that invokes too often loses its connection, and one that only comes in
// bursts does not.
func TestTooManyInvocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{MaxInvocationsPerSecond: 10, KeepAliveInterval: -1})
		c := connect(t, h, clientOptions{id: "a"})
		for range 3 {
			for range 100 {
				c.send(call("1", "Text", `"a"`))
				c.want(result("1", `"a"`))
			}
			time.Sleep(10 * time.Second) // of the bubble
		}
		for range 101 {
			c.send(call("1", "Text", `"a"`))
			c.want(result("1", `"a"`))
		}
		c.send(call("2", "Text", `"a"`))
		c.want(`{"type":7,"error":"Connection closed with an error. HubException: More invocations came than a connection may make."}`)
		c.wantEnd()
	})
}

func TestTooManyStreams(t *testing.T) {
	h := newLab(hub.Options{MaxStreams: 2})
	h.Handle("Endless", hub.Stream0(func(ctx context.Context) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			if yield(1, nil) {
				<-ctx.Done()
			}
		}, nil
	}))
	c := connect(t, h, clientOptions{id: "a"})
	for _, id := range []string{"1", "2"} {
		c.send(stream(id, "Endless", ""))
		c.want(`{"type":2,"invocationId":"` + id + `","item":1}`)
	}
	c.send(stream("3", "Endless", ""))
	c.want(failed("3", "Failed to invoke 'Endless' due to an error on the server. HubException: More streams are under way than a connection may have."))
	c.send(cancel("1"))
	c.want(end("1"))
	c.send(stream("4", "Endless", ""))
	c.want(`{"type":2,"invocationId":"4","item":1}`)
}

// Whoever is over a limit is counted and is in the log; who is connected beside it goes on.
func TestRefusalsAreCountedAndLogged(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, c := range map[string]struct {
		options hub.Options
		offend  func(t *testing.T, h *hub.Hub)
		want    hub.Refusals
		log     string
	}{
		"no handshake": {
			hub.Options{HandshakeTimeout: time.Second},
			func(t *testing.T, h *hub.Hub) {
				a := dial(t, h, clientOptions{id: "a"})
				a.next()
				a.wantEnd()
			},
			hub.Refusals{Handshakes: 1}, "time for the handshake",
		},
		"a long handshake": {
			hub.Options{MaxMessageSize: 100},
			func(t *testing.T, h *hub.Hub) {
				a := dial(t, h, clientOptions{id: "a"})
				a.send(long)
				a.next()
				a.wantEnd()
			},
			hub.Refusals{Messages: 1}, "length of the handshake",
		},
		"a long message": {
			hub.Options{MaxMessageSize: 100},
			func(t *testing.T, h *hub.Hub) {
				a := connect(t, h, clientOptions{id: "a"})
				a.send(long)
				a.next()
				a.wantEnd()
			},
			hub.Refusals{Messages: 1}, "length of a message",
		},
		"invocations": {
			hub.Options{MaxInvocationsPerSecond: 1},
			func(t *testing.T, h *hub.Hub) {
				a := connect(t, h, clientOptions{id: "a"})
				for range 11 {
					a.send(call("", "Text", `"x"`))
				}
				a.send(call("", "Text", `"x"`))
				a.next()
				a.wantEnd()
			},
			hub.Refusals{Invocations: 1}, "invocations",
		},
		"streams": {
			hub.Options{MaxStreams: 1},
			func(t *testing.T, h *hub.Hub) {
				a := connect(t, h, clientOptions{id: "a"})
				a.send(stream("1", "Infinite", ""), stream("2", "Infinite", ""))
				a.next()
			},
			hub.Refusals{Streams: 1}, "streams",
		},
		"a slow consumer": {
			hub.Options{},
			func(t *testing.T, h *hub.Hub) {
				a := connect(t, h, clientOptions{id: "a", capacity: 1})
				for range 3 {
					_ = h.Clients().Client("a").Send(t.Context(), "M")
				}
				a.next()
				a.wantEnd()
			},
			hub.Refusals{SlowConsumers: 1}, "queue of a slow consumer",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log strings.Builder
				c.options.KeepAliveInterval = -1
				c.options.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
				h := newLab(c.options)
				beside := connect(t, h, clientOptions{id: "b"})
				c.offend(t, h)
				synctest.Wait()
				if got := h.Refusals(); got != c.want {
					t.Errorf("counted %+v", got)
				}
				if text := log.String(); !strings.Contains(text, c.log) || !strings.Contains(text, "connection_id=a") || strings.Count(text, "\n") != 1 {
					t.Errorf("logged %q", text)
				}
				beside.send(call("1", "Text", `"x"`))
				beside.want(result("1", `"x"`))
			})
		})
	}
}

// Streams that are over are bounded too while their client reads nothing.
func TestStreamsThatCannotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{MaxStreams: 5, KeepAliveInterval: -1})
		c := connect(t, h, clientOptions{capacity: 1})
		n := 0
		for ; n < 1000 && h.Refusals().Streams == 0; n++ {
			c.send(stream("1", "Count", "0,0"))
			synctest.Wait()
		}
		if n != 107 {
			t.Errorf("%d streams were opened", n)
		}
		c.conn.Abort(nil)
	})
}
