package hub_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// A burst of invocations is handled at once. Beyond it a client is read at the pace of the limit: it loses nothing,
// and its silence meanwhile is not taken for its end.
func TestTooManyInvocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, burst, beyond = 10, 300, 400
		h := newLab(hub.Options{MaxInvocationsPerSecond: perSecond, KeepAliveInterval: -1})
		c := connect(t, h, clientOptions{id: "a"})
		invoke := func(n int) (took time.Duration) {
			many := []string{`{"type":6}`} // from now on the client time-out, 30 s, holds
			for i := range n {
				many = append(many, call(strconv.Itoa(i), "Text", `"a"`))
			}
			begin := time.Now()
			c.send(many...)
			for i := range n {
				c.want(result(strconv.Itoa(i), `"a"`))
			}
			return time.Since(begin)
		}
		for range 2 {
			if took := invoke(burst); took != 0 {
				t.Errorf("a burst took %v", took)
			}
			time.Sleep(burst / perSecond * time.Second) // of the bubble
		}
		if took := invoke(burst + 1 + beyond); took != beyond/perSecond*time.Second {
			t.Errorf("%d invocations beyond the burst took %v", beyond, took)
		}
		if n := h.Refusals().Invocations; n != beyond {
			t.Errorf("%d invocations are counted", n)
		}
	})
}

// The end of a connection does not wait for the invocations that came too often.
func TestEndOfAClientThatInvokesTooOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{MaxInvocationsPerSecond: 1, KeepAliveInterval: -1})
		for name, end := range map[string]func(c *client){
			"by the client": (*client).close,
			"by the server": func(c *client) { h.Disconnect(t.Context(), "a"); <-c.finished },
		} {
			c := connect(t, h, clientOptions{id: "a"})
			c.send(slices.Repeat([]string{call("", "Text", `"a"`)}, 100)...)
			synctest.Wait()
			begin := time.Now()
			end(c)
			if took := time.Since(begin); took != 0 {
				t.Errorf("%s: the end took %v", name, took)
			}
			c.close()
		}
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

// Ids and arguments are kept as long as a stream or an upload goes on, so those of all together have
// a bound, and count in what waits for all connections.
func TestLongInvocationsOfStreams(t *testing.T) {
	const count, size = 50, 30_000
	const refusal = "HubException: More streams are under way than a connection may have."
	for name, begin := range map[string]func(id string) string{
		"ids of streams": func(id string) string { return stream(id+pad(size), "Infinite", "") },
		"ids of uploads": func(id string) string { return callWith(id, "Upload", "", `"`+id+pad(size)+`"`) },
		"headers": func(id string) string {
			return `{"type":4,"invocationId":"` + id + `","target":"Infinite","arguments":[],"headers":{"a":"` + pad(size) + `"}}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := connect(t, newLab(hub.Options{}), clientOptions{})
				for i := range count {
					c.send(begin(fmt.Sprint(i, "-")))
				}
				synctest.Wait()
				held := c.conn.held.Load()
				if held < size || held > 32*32<<10+size+200 {
					t.Errorf("%d bytes are held", held)
				}
				for range count - int(held)/size {
					if r := c.next(); !strings.Contains(r, refusal) {
						t.Fatalf("got %.200s", r)
					}
				}
				c.close()
				synctest.Wait()
				if held := c.conn.held.Load(); held != 0 {
					t.Errorf("%d bytes are held behind the end", held)
				}
			})
		})
	}
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
				a.send(slices.Repeat([]string{call("", "Text", `"x"`)}, 32)...)
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
