package connection

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/carillon-go/carillon/transports"
)

// stuck is an application whose Disconnected returns when the channel is closed.
type stuck chan struct{}

func (s stuck) Connect(transports.Connection) (transports.Receiver, error) { return s, nil }
func (s stuck) Receive([]byte) error                                       { return nil }
func (s stuck) Disconnected(error)                                         { <-s }

// A connection that a first Shutdown has cut does not count as drained when its application
// returns after a second Shutdown.
func TestCutConnectionIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := stuck(make(chan struct{}))
		r := NewRegistry(app, transports.Options{})
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		c, err := r.Create(request, true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Claim(transports.LongPolling, request); err != nil {
			t.Fatal(err)
		}
		if err := c.Open(nil, 0); err != nil {
			t.Fatal(err)
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 {
			if r.Shutdown(over) == nil {
				t.Error("a shutdown that cuts a connection succeeds")
			}
		}
		close(app)
		synctest.Wait()
		if drained, cut := r.Ended(); drained != 0 || cut != 1 {
			t.Errorf("%d drained, %d cut", drained, cut)
		}
	})
}
