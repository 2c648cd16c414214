//go:build unix

package redis

import (
	"fmt"
	"sync"
	"testing"
)

// A publication that nobody receives yet, on a channel that is being subscribed, is no sign
// that the subscribing connection is deaf.
func TestPublishingWhileSubscribing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	b := s.broker(Options{})
	var in inbox
	if err := b.Subscribe(t.Context(), &in, "connected"); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for i := range 500 {
		channel := fmt.Sprint("c", i)
		both.Go(func() {
			if err := b.Subscribe(t.Context(), &in, channel); err != nil {
				t.Error(err)
			}
		})
		for range 3 {
			both.Go(func() { publish(t, b, "x", channel) })
		}
		both.Wait()
	}
	if got := b.State(); got.Gaps != 0 || got.Degraded {
		t.Errorf("state %+v", got)
	}
}
