package backplane

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// Jobs with one key run in order, others do not wait for them, and what waits is limited.
func TestLanesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		var mu sync.Mutex
		var done []int
		hold := make(chan struct{})
		l := lanes[int]{running: &running, all: make([]lane[int], 4), maxJobs: 3, maxBytes: 10, do: func(n int) {
			if n < 100 {
				<-hold
			}
			mu.Lock()
			defer mu.Unlock()
			done = append(done, n)
		}}
		other := "b"
		for l.of(other) == l.of("a") {
			other += "b"
		}
		for i, size := range []int{100, 4, 4, 1} { // the first is too large, but alone
			if taken := l.put("a", i, size); taken != (i == 0) {
				t.Errorf("job %d of size %d: %v", i, size, taken)
			}
		}
		if !l.put("a", 4, 0) || !l.put("a", 5, 0) || !l.put("a", 6, 0) {
			t.Error("a job without a size is refused")
		}
		if !l.put(other, 100, 4) || l.put("a", 7, 1) {
			t.Error("the limits are not those of each lane")
		}
		synctest.Wait()
		mu.Lock()
		if len(done) != 1 || done[0] != 100 {
			t.Errorf("done: %v", done)
		}
		mu.Unlock()
		close(hold)
		synctest.Wait()
		for i := range 4 {
			if taken := l.put(other, i, 4); taken != true {
				t.Errorf("job %d is refused after the others", i)
			}
			synctest.Wait()
		}
		l.close()
		if l.put("a", 8, 0) {
			t.Error("a job is taken after the end")
		}
		running.Wait()
		if want := []int{100, 0, 4, 5, 6, 0, 1, 2, 3}; len(done) != len(want) {
			t.Errorf("done: %v, want %v", done, want)
		}
	})
}

// Commands that wait are bounded by their length, too.
func TestWaitingCommandsAreBounded(t *testing.T) {
	var m Memory
	b := New(m.Broker(), Options{Hub: "Chat"})
	hold := make(chan struct{})
	b.commands.do = func(command) { <-hold }
	c := command{group: strings.Repeat("g", maxLaneBytes/2), connection: "c"}
	for range 3 {
		b.deliver(delivery{command: &c})
	}
	if n := b.Stats().Overflown; n != 2 {
		t.Errorf("%d are dropped", n)
	}
	close(hold)
	b.Close()
}
