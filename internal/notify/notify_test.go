package notify_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/carillon-go/carillon/internal/notify"
)

func TestGateWakesAllWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var g notify.Gate
		g.Open() // without waiters
		woken := 0
		for range 3 {
			go func() {
				mu.Lock()
				opened := g.Wait()
				mu.Unlock()
				<-opened
				mu.Lock()
				defer mu.Unlock()
				woken++
			}()
		}
		synctest.Wait()
		mu.Lock()
		g.Open()
		again := g.Wait()
		mu.Unlock()
		synctest.Wait()
		if woken != 3 {
			t.Errorf("%d waiters are awake", woken)
		}
		select {
		case <-again:
			t.Error("a later waiter is awake")
		default:
		}
	})
}

func TestSignalsBeforeTheWaiterCountAsOne(t *testing.T) {
	s := notify.NewSignal()
	s.Notify()
	s.Notify()
	<-s
	select {
	case <-s:
		t.Error("there is a second token")
	default:
	}
}
