package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/worker"

	"github.com/carillon-go/carillon/examples/dashboard/contract"
)

// shown returns the times of the samples that a client was shown, call by call, in seconds
// after the beginning.
func shown(c *hubtest.Client, began time.Time) (calls [][]float64) {
	for _, call := range c.Received() {
		times := []float64{}
		for _, sample := range call.Args[0].([]contract.Sample) {
			times = append(times, sample.At.Sub(began).Seconds())
		}
		calls = append(calls, times)
	}
	return calls
}

func TestANewcomerIsShownTheLatestSamplesAndThenEachNewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		h := hub.New(hub.Options{})
		host := worker.NewHost(worker.Options{})
		if err := host.Start("sampler", newSampler(h, func() int { return 7 }, time.Second)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100*time.Second + 500*time.Millisecond) // the bubble's clock
		c := hubtest.Connect(t, h, hubtest.Options{})
		time.Sleep(2 * time.Second) // the bubble's clock
		if err := host.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		calls := shown(c, began)
		if len(calls) != 3 || len(calls[0]) != maxLatest || calls[0][0] != 41 || calls[1][0] != 101 || calls[2][0] != 102 {
			t.Errorf("shown samples of %v", calls)
		}
		if newest := c.Received()[2].Args[0].([]contract.Sample)[0]; newest.Clients != 7 || newest.Goroutines == 0 || newest.HeapMiB == 0 {
			t.Errorf("the newest sample is %+v", newest)
		}
	})
}
