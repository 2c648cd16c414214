package hub_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

const goodbye = `{"type":7,"allowReconnect":true}`

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		idle := connect(t, h, clientOptions{id: "idle"})
		busy := connect(t, h, clientOptions{id: "busy"})
		streaming := connect(t, h, clientOptions{id: "streaming"})
		early := dial(t, h, clientOptions{id: "early"})
		busy.send(call("1", "SendThenWait", `1000,"x"`), call("2", "Text", `"y"`))
		busy.want(started("x"))
		streaming.send(stream("1", "Infinite", ""))
		synctest.Wait()
		done := make(chan error)
		go func() { done <- h.Shutdown(t.Context()) }()
		idle.want(goodbye)
		idle.wantEnd()
		early.wantEnd()
		streaming.want(`{"type":1,"target":"StreamCanceled","arguments":[]}`, end("1"), goodbye)
		busy.send(call("3", "Text", `"z"`)) // too late
		busy.want(result("1", `"x"`), result("2", `"y"`), goodbye)
		busy.wantEnd()
		if err := <-done; err != nil {
			t.Error(err)
		}
		late := dial(t, h, clientOptions{id: "late"})
		late.wantEnd()
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
		c.want(goodbye)
		c.wantEnd()
	})
}

func TestShutdownWithoutConnections(t *testing.T) {
	if err := hub.New(hub.Options{}).Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
