package connection

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-go/carillon/transports"
)

// What an application keeps for its connections counts with what waits in their queues.
func TestHold(t *testing.T) {
	registry := NewRegistry(messy{t}, transports.Options{Limits: transports.Limits{QueueBytes: 1000}})
	var connections [2]*Connection
	for i := range connections {
		c, err := registry.Create(httptest.NewRequest(http.MethodGet, "/hub", nil), true)
		if err != nil {
			t.Fatal(err)
		}
		connections[i] = c
	}
	for _, step := range []struct {
		connection, n int
		full          bool
		sum           int
	}{
		{0, 600, false, 600}, {1, 400, false, 1000}, {1, 0, false, 1000}, {0, 1, true, 1001},
		{1, 0, true, 1001}, {1, -400, false, 601}, {0, -601, false, 0},
	} {
		if full := connections[step.connection].Hold(step.n); full != step.full || registry.Queued() != step.sum {
			t.Errorf("%+v: %v, %d bytes", step, full, registry.Queued())
		}
	}
	if n := registry.Refusals().Queue; n != 1 {
		t.Errorf("%d refusals", n)
	}
	if err := registry.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
