package connection

import (
	"errors"
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

// promise admits the client of a request and promises it a connection.
func promise(t *testing.T, r *Registry, request *http.Request, terms Terms) *Negotiation {
	t.Helper()
	n, err := r.Admit(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Promise(n, terms); err != nil {
		t.Fatal(err)
	}
	return n
}

// An admitted client counts as a connection until it is withdrawn, with or without a promise. A
// registry that has stopped promises nothing.
func TestAdmit(t *testing.T) {
	t.Parallel()
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	r := NewRegistry(nil, transports.Options{Limits: transports.Limits{Connections: 2, ConnectionsPerAddress: 2}})
	promised := promise(t, r, request, Terms{})
	admitted, err := r.Admit(request)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Admit(request); !errors.Is(err, ErrFull) || r.Len() != 2 {
		t.Errorf("a third of two: %v; %d connections", err, r.Len())
	}
	if r.Find(admitted.Token()) != nil || r.Find(admitted.ID()) != nil {
		t.Error("there is a connection before the promise")
	}
	r.Withdraw(promised)
	r.Withdraw(admitted)
	if r.Len() != 0 || len(r.counts.addresses) != 0 {
		t.Errorf("%d connections, %v at the end", r.Len(), r.counts.addresses)
	}
	late, err := r.Admit(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Promise(late, Terms{}); !errors.Is(err, ErrStopped) {
		t.Errorf("after the shutdown: %v", err)
	}
	r.Withdraw(late)
	if r.Len() != 0 || r.Find(late.ID()) != nil {
		t.Errorf("%d connections after the shutdown", r.Len())
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
			return promise(t, r, request, Terms{HasToken: true, Observer: &alone})
		}
		negotiate()
		claimed := negotiate()
		time.Sleep(10 * time.Second) // of the bubble
		late := negotiate()
		if _, err := r.Admit(request); err == nil {
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

// The time in which a client must come begins with its promise, although the policy took long
// after the admission.
func TestSlowPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		r := NewRegistry(nil, transports.Options{})
		slow, err := r.Admit(request)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second) // of the bubble
		if err := r.Promise(slow, Terms{}); err != nil {
			t.Fatal(err)
		}
		quick := promise(t, r, request, Terms{})
		time.Sleep(10 * time.Second) // of the bubble
		if r.Find(slow.Token()) == nil {
			t.Error("the slow client's time has passed before its promise")
		}
		time.Sleep(10 * time.Second) // of the bubble
		if n := r.Len(); n != 0 || r.Find(quick.Token()) != nil {
			t.Errorf("%d connections after the disconnect time-out", n)
		}
	})
}
