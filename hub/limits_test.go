package hub_test

import (
	"context"
	"iter"
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
