package integration_test

import (
	"strings"
	"testing"
)

// A browser's EventSource listens, comes back by itself and learns of what it missed.
func TestEventSource(t *testing.T) {
	t.Parallel()
	r := startRunner(t, "events.js", "CHROMIUM="+findChromium(t))
	s := startServer(t, true, build(t, "../cmd/gateway"))
	for _, scenario := range r.scenarios {
		end, err := r.run(order{Scenario: scenario.Name, URL: s.URL()}, s)
		if err != nil {
			t.Fatalf("the runner broke off: %v\n%s", err, r.stderr)
		}
		if end.Error != "" {
			t.Errorf("%s\n%s", end.Error, strings.Join(end.Log, "\n"))
		}
	}
}
