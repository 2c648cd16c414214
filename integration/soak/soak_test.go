package soak

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/endpoint"
)

var (
	soakTime    = flag.Duration("soak.time", 4*time.Second, "how long clients come")
	soakClients = flag.Int("soak.clients", 20, "clients at a time")
	soakSeed    = flag.Uint64("soak.seed", 0, "what the clients do; 0: something else each time")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSoak lets the clients come in two rounds. After the first one everything that is kept for good
// is there, so that what the second adds to the heap was forgotten there.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-soak.seed=%d", seed)
	h := NewHub(nil)
	e := endpoint.New(h.Hub, endpoint.Options{Options: Options()})
	server := httptest.NewServer(Handler(e))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	round(t, server.URL, seed)
	first := heapWithout(t, e)
	round(t, server.URL, seed+1)
	second := heapWithout(t, e)
	t.Logf("%d lives; heap after the first round %d KiB, after the second %d KiB", h.came.Load(), first>>10, second>>10)
	if came, left := h.Visitors(); came != left {
		t.Errorf("%d clients came, %d left", came, left)
	}
	if second > first+first/4+256<<10 {
		t.Errorf("the heap grows: %d bytes, then %d", first, second)
	}
}

// round lets clients come for half of the time, and waits for the last.
func round(t *testing.T, url string, seed uint64) {
	t.Helper()
	var all sync.WaitGroup
	end := time.After(*soakTime / 2)
	over := make(chan struct{})
	for i := range *soakClients {
		all.Go(func() {
			random := newRandom(seed, uint64(i))
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
				}
				l := NewLife(url, long(fmt.Sprintf("client %d.%d of %d", i, n, seed)), random)
				for _, complaint := range slices.Concat(l.Live(context.Background())) {
					t.Error(complaint)
				}
			}
		})
	}
	<-end
	close(over)
	all.Wait()
}

// heapWithout waits until no connection is left and tells what is used.
func heapWithout(t *testing.T, e *endpoint.Endpoint) uint64 {
	t.Helper()
	for deadline := time.Now().Add(patience); e.Connections() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", e.Connections())
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // an endpoint has no event for it
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
