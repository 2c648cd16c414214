package connection

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
)

// calls is an Outside that records its calls.
type calls []string

func (c *calls) Announce()  { *c = append(*c, "announce") }
func (c *calls) CloseIdle() { *c = append(*c, "close idle") }
func (c *calls) Cut()       { *c = append(*c, "cut") }

func TestFinishedWorkTakesNoRequest(t *testing.T) {
	t.Parallel()
	var w work
	if !w.enter() {
		t.Fatal("a request is refused before finish")
	}
	w.finish()
	if w.enter() {
		t.Error("a request is accepted after finish")
	}
	w.running.Done()
	if !w.await(t.Context()) {
		t.Error("ended work does not count as ended")
	}
}

// The end of the time cuts the work, which ends then, and the network connections that the
// carriers keep.
func TestWorkIsCutAtTheEndOfItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var w work
		var outside calls
		w.cutting, w.cut = context.WithCancel(t.Context())
		w.keep(&outside)
		w.running.Go(func() { <-w.cutting.Done() })
		w.announce()
		w.finish()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if !w.await(over) {
			t.Error("work that ends when it is cut has not ended")
		}
		if want := (calls{"announce", "close idle", "cut"}); !slices.Equal(outside, want) {
			t.Errorf("%q, want %q", outside, want)
		}
	})
}
