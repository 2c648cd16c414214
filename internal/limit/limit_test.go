package limit_test

import (
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/limit"
)

func TestBudgetIsEarnedBack(t *testing.T) {
	const interval, burst = time.Second, 3 * time.Second
	var b limit.Budget
	spend := func(now, want time.Duration) {
		t.Helper()
		if got := b.Wait(now, burst); got != want {
			t.Errorf("at %v: wait %v, want %v", now, got, want)
		}
		b.Spend(now, interval)
	}
	for range 4 {
		spend(time.Hour, 0)
	}
	spend(time.Hour, time.Second)
	spend(time.Hour+time.Second, time.Second)
	spend(time.Hour+10*time.Second, 0) // the whole budget, and no more
	spend(time.Hour+10*time.Second, 0)
	spend(time.Hour+10*time.Second, 0)
	spend(time.Hour+10*time.Second, 0)
	spend(time.Hour+10*time.Second, time.Second)
}
