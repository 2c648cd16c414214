package hub_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// Workers wait for more, but not for long when there are too many of them.
func TestWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 10
		h := newLab(hub.Options{KeepAliveInterval: -1})
		busy := make([]*client, many)
		for i := range busy {
			busy[i] = connect(t, h, clientOptions{id: strconv.Itoa(i)})
			busy[i].send(call("1", "SendThenWait", `300,"x"`))
		}
		for _, c := range busy {
			c.want(started("x"), result("1", `"x"`))
		}
		synctest.Wait()
		if n := hub.IdleWorkers(h); n != many {
			t.Errorf("%d workers wait, want %d", n, many)
		}
		for range 5 {
			time.Sleep(500 * time.Millisecond) // of the bubble: two in each of the sweep's intervals
			busy[0].send(call("2", "Text", `"x"`))
			busy[0].want(result("2", `"x"`))
		}
		synctest.Wait()
		if n := hub.IdleWorkers(h); n != 1 {
			t.Errorf("%d workers wait, want 1", n)
		}
		busy[0].close()
		for _, c := range busy {
			c.close()
		}
		synctest.Wait()
		if n := hub.IdleWorkers(h); n != 0 {
			t.Errorf("%d workers wait for nobody", n)
		}
	})
}
