package integration_test

import "testing"

// A combination is a way in which the official client can talk to a hub.
type combination struct{ transport, protocol string }

// Event streams carry text only, so there is no MessagePack on them.
var combinations = []combination{
	{"WebSockets", "json"},
	{"WebSockets", "messagepack"},
	{"ServerSentEvents", "json"},
	{"LongPolling", "json"},
	{"LongPolling", "messagepack"},
}

func (c combination) String() string { return c.transport + " " + c.protocol }

// TestNodeClient runs the scenarios of clients/scenarios with the official JavaScript client in Node.
func TestNodeClient(t *testing.T) {
	t.Parallel()
	testClient(t, "node", startRunner(t, "node.js"))
}

// TestChromiumClient runs them with the browser build of the client in headless Chromium.
func TestChromiumClient(t *testing.T) {
	t.Parallel()
	testClient(t, "chromium", startRunner(t, "chromium.js", "CHROMIUM="+findChromium(t)))
}

func testClient(t *testing.T, name string, r *runner) {
	s := startTestHub(t)
	for _, c := range combinations {
		t.Run(c.String(), func(t *testing.T) {
			for _, scenario := range r.scenarios {
				if !scenario.Once {
					r.test(t, name, scenario, s, c)
				}
			}
		})
	}
	t.Run("once", func(t *testing.T) {
		for _, scenario := range r.scenarios {
			if scenario.Once {
				r.test(t, name, scenario, s, combinations[0])
			}
		}
	})
}
