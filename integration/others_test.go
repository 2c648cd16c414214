package integration_test

import (
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
)

// TestOtherClients has each of them call, stream and come back after a restart, against the test hub.
func TestOtherClients(t *testing.T) {
	t.Parallel()
	for name, command := range clients.Others {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := clients.StartCommand(t, command(t))
			s := startTestHub(t)
			for _, scenario := range r.Scenarios {
				test(t, r, name, scenario, s, clients.Combination{})
			}
		})
	}
}
