package integration_test

import (
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
)

// A browser's EventSource listens, comes back by itself, also when it was refused for a while, and
// learns of what it missed.
func TestEventSource(t *testing.T) {
	t.Parallel()
	r := clients.Start(t, "events.js", "CHROMIUM="+clients.FindChromium(t))
	gateway := build(t, "../cmd/gateway")
	servers := map[string]*server{
		"restart": startServer(t, true, gateway),
		"limit":   startServer(t, true, gateway, "--max-per-address", "1"),
	}
	for _, scenario := range r.Scenarios {
		s := servers[scenario.Name]
		end, err := r.Run(clients.Order{Scenario: scenario.Name, URL: s.URL()}, s.do)
		if err != nil {
			t.Fatalf("the runner broke off: %v\n%s", err, r.Stderr)
		}
		if end.Error != "" {
			t.Errorf("%s\n%s", end.Error, strings.Join(end.Log, "\n"))
		}
	}
}
