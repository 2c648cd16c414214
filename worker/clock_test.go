package worker_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/worker"
)

func TestClockTicksAtOnceAndAtEachInterval(t *testing.T) {
	for _, interval := range []time.Duration{0, 250 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			h := hub.New(hub.Options{})
			clocks := clock.Register(h)
			watcher := hubtest.Connect(t, h, hubtest.Options{})

			began := time.Now()
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
			var ticks []time.Duration
			for _, shown := range watcher.Received() {
				ticks = append(ticks, shown.Args[0].(time.Time).Sub(began))
			}
			if want := []time.Duration{0, step, 2 * step}; !slices.Equal(ticks, want) {
				t.Errorf("interval %v: ticks at %v, want %v", interval, ticks, want)
			}
		})
	}
}
