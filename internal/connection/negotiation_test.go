package connection

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// unclaimed counts the negotiations for which nobody came.
type unclaimed struct{ atomic.Int32 }

func (u *unclaimed) Observe(e transports.Event) {
	if e.Kind == transports.Unclaimed {
		u.Add(1)
	}
}

// What nobody comes for is forgotten after the disconnect time-out and frees its place; what
// somebody has come for in time stays as long as a connection does.
func TestUnclaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		r := NewRegistry(nil, transports.Options{Limits: transports.Limits{Connections: 3}})
		var alone unclaimed
		negotiate := func() *Negotiation {
			n, err := r.Negotiate(request, true)
			if err != nil {
				t.Fatal(err)
			}
			r.Arrange(n, &alone, 0)
			return n
		}
		negotiate()
		claimed := negotiate()
		time.Sleep(10 * time.Second) // of the bubble
		late := negotiate()
		if _, err := r.Negotiate(request, true); err == nil {
			t.Error("there is room for a fourth")
		}
		c := r.Find(claimed.Token())
		if c == nil || c.ID() != claimed.ID() || r.Find(claimed.Token()) != c {
			t.Error("the token opens no connection, or another one")
		}
		if _, err := c.Claim(transports.LongPolling, request); err != nil {
			t.Error(err)
		}
		time.Sleep(6 * time.Second) // of the bubble
		if n := r.Len(); n != 2 || alone.Load() != 1 {
			t.Errorf("%d connections, %d unclaimed", n, alone.Load())
		}
		time.Sleep(10 * time.Second) // of the bubble
		if n := r.Len(); n != 1 || alone.Load() != 2 || r.Find(late.Token()) != nil {
			t.Errorf("%d connections, %d unclaimed", n, alone.Load())
		}
		c.Abort(nil)
		synctest.Wait()
		if n := r.Len(); n != 0 {
			t.Errorf("%d connections at the end", n)
		}
	})
}
