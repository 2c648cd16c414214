package transports

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// unclaimed counts the negotiations for which nobody came.
type unclaimed struct{ atomic.Int32 }

func (u *unclaimed) Observe(e Event) {
	if e.Kind == Unclaimed {
		u.Add(1)
	}
}

// What nobody comes for is forgotten after the disconnect time-out and frees its place; what
// somebody has come for in time stays as long as a connection does.
func TestUnclaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		r := NewRegistry(nil, Options{Limits: Limits{Connections: 3}})
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
		if _, err := c.Claim(LongPolling, request); err != nil {
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

// Those that are claimed, in whatever order, are out of the way of those that are not.
func TestNegotiations(t *testing.T) {
	r := NewRegistry(nil, Options{})
	w := &r.negotiated
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	const n = 300 // several chunks
	var all []*Negotiation
	for i := range n {
		one, _ := r.newNegotiation(request, i%2 == 0, nil)
		one.since = time.Duration(i)
		all = append(all, w.add(one, &terms{silence: time.Duration(i)}))
	}
	for i := n - 1; i >= 0; i -= 3 {
		if got, terms := w.claim(all[i].Token()); got != all[i] || terms.silence != time.Duration(i) {
			t.Fatalf("claimed %v with %v, want %v", got, terms, all[i])
		}
		if got, _ := w.claim(all[i].Token()); got != nil {
			t.Fatal("one was claimed twice")
		}
	}
	for i := range n {
		if i%3 == (n-1)%3 {
			continue
		}
		if got, _ := w.expire(time.Duration(i) - 1); got != nil {
			t.Fatal("one expired too soon")
		}
		if got, terms := w.expire(time.Duration(i)); got != all[i] || terms.silence != time.Duration(i) {
			t.Fatalf("expired %v, want %v", got, all[i])
		}
	}
	if got, _ := w.expire(n); got != nil || len(w.places)+len(w.terms) > 0 || len(w.chunks) > 1 {
		t.Error("something is left")
	}
}
