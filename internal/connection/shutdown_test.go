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

// openStuck returns a registry with one connection, and the function that lets its application return.
func openStuck(t *testing.T) (r *Registry, c *Connection, release func()) {
	t.Helper()
	app := stuck(make(chan struct{}))
	r = NewRegistry(app, transports.Options{})
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
	return r, c, func() { close(app) }
}

// A connection that a first Shutdown has cut does not count as drained when its application
// returns after a second Shutdown. Neither does one whose carrier has ended after Close, so
// that only its application is left to wait for.
func TestCutConnectionIsCountedOnce(t *testing.T) {
	for name, before := range map[string]func(*Connection){
		"open": func(*Connection) {},
		"closed, and its carrier has ended": func(c *Connection) {
			c.Close(transports.ErrShutdown)
			c.Finish(transports.ErrShutdown)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, c, release := openStuck(t)
				r.Stop()
				before(c)
				over, cancel := context.WithCancel(t.Context())
				cancel()
				for range 2 {
					if r.Shutdown(over) == nil {
						t.Error("a shutdown that cuts a connection succeeds")
					}
				}
				release()
				synctest.Wait()
				if drained, cut := r.Ended(); drained != 0 || cut != 1 {
					t.Errorf("%d drained, %d cut", drained, cut)
				}
			})
		})
	}
}
