package integration_test

import (
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
)

// TestNodeClient runs the scenarios of clients/scenarios with the official JavaScript client in Node.
func TestNodeClient(t *testing.T) {
	t.Parallel()
	testClient(t, "node", clients.Start(t, "node.js"))
}

// TestChromiumClient runs them with the browser build of the client in headless Chromium.
func TestChromiumClient(t *testing.T) {
	t.Parallel()
	testClient(t, "chromium", clients.Start(t, "chromium.js", "CHROMIUM="+clients.FindChromium(t)))
}

func testClient(t *testing.T, name string, r *clients.Runner) {
	s := startTestHub(t)
	for _, c := range clients.Combinations() {
		t.Run(c.String(), func(t *testing.T) {
			for _, scenario := range r.Scenarios {
				if !scenario.Once {
					test(t, r, name, scenario, s, c)
				}
			}
		})
	}
	t.Run("once", func(t *testing.T) {
		for _, scenario := range r.Scenarios {
			if scenario.Once {
				test(t, r, name, scenario, s, clients.Combinations()[0])
			}
		}
	})
}
