package crew

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func (c *Crew[Job]) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle)
}

// Goroutines wait for jobs while somebody may have some, but never more than a few.
func TestCrew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		var done atomic.Int32
		c := New(&running, func(job func()) { job(); done.Add(1) })
		c.Join()
		c.Join()
		c.Go(func() {})
		synctest.Wait()
		for range 10 { // one after the other: one goroutine does
			c.Go(func() {})
			synctest.Wait()
		}
		if n := c.waiting(); n != 1 || done.Load() != 11 {
			t.Errorf("%d wait after %d jobs", n, done.Load())
		}
		hold := make(chan struct{})
		for range 2 * maxIdle {
			c.Go(func() { <-hold })
		}
		close(hold)
		synctest.Wait()
		if n := c.waiting(); n != maxIdle {
			t.Errorf("%d wait, want %d", n, maxIdle)
		}
		c.Leave()
		synctest.Wait()
		if n := c.waiting(); n != maxIdle {
			t.Errorf("%d wait for the one who is left, want %d", n, maxIdle)
		}
		c.Go(c.Leave)
		running.Wait()
		if n := c.waiting(); n != 0 {
			t.Errorf("%d wait for nobody", n)
		}
		c.Go(func() {}) // late: it is done, and nobody waits
		running.Wait()
	})
}

// A job that ends its goroutine ends nothing else.
func TestGoexit(t *testing.T) {
	var running sync.WaitGroup
	c := New(&running, func(job func()) { job() })
	c.Join()
	done := make(chan struct{})
	c.Go(func() { defer close(done); runtime.Goexit() })
	<-done
	c.Leave()
	running.Wait()
}

func BenchmarkGo(b *testing.B) {
	var running sync.WaitGroup
	done := make(chan struct{}, 1)
	c := New(&running, func(struct{}) { done <- struct{}{} })
	c.Join()
	b.ReportAllocs()
	for b.Loop() {
		c.Go(struct{}{})
		<-done
	}
	c.Leave()
	running.Wait()
}
