package worker_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/worker"
)

// watcher is a connection that notes when it was shown the time.
type watcher struct {
	began time.Time
	ticks *[]time.Duration
}

func (watcher) ID() string               { return "watcher" }
func (watcher) Context() context.Context { return context.Background() }
func (watcher) Close(error)              {}
func (watcher) Abort(error)              {}

func (w watcher) Send(f *frame.Frame) error {
	if strings.Contains(string(f.Payload()), `"target":"ShowTime","arguments":["20`) {
		*w.ticks = append(*w.ticks, time.Since(w.began))
	}
	return nil
}

func (w watcher) SendWait(_ context.Context, f *frame.Frame) error { return w.Send(f) }

func TestClockTicksAtOnceAndAtEachInterval(t *testing.T) {
	for _, interval := range []time.Duration{0, 250 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			h := hub.New(hub.Options{})
			clocks := clock.Register(h)
			var ticks []time.Duration
			session := h.Connect(watcher{began: time.Now(), ticks: &ticks}, hub.ConnectInfo{})
			if err := session.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()

			host := worker.NewHost(quiet())
			if err := host.Start("clock", worker.Clock{Clocks: clocks, Interval: interval}); err != nil {
				t.Fatal(err)
			}
			step := interval
			if step == 0 {
				step = worker.DefaultInterval
			}
			time.Sleep(2*step + step/2) // the bubble's clock
			stop(t, host)
			session.Disconnected(nil)
			synctest.Wait()
			if want := []time.Duration{0, step, 2 * step}; !slices.Equal(ticks, want) {
				t.Errorf("interval %v: ticks at %v, want %v", interval, ticks, want)
			}
		})
	}
}
