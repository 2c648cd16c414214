package integration_test

import (
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/middlebox"
)

// The page that diagnoses finds in Chromium what stands in between.
func TestDiagnosePage(t *testing.T) {
	t.Parallel()
	r := startRunner(t, "diagnose.js", "CHROMIUM="+findChromium(t))
	s := startServer(t, true, build(t, "../cmd/gateway"))
	for _, scenario := range r.scenarios {
		t.Run(scenario.Name, func(t *testing.T) {
			url := s.url()
			if scenario.Name != "direct" {
				kind, err := middlebox.ByName(scenario.Name)
				if err != nil {
					t.Fatal(err)
				}
				url = kind.Start(t, s.addr).URL
			}
			end, err := r.run(order{Scenario: scenario.Name, URL: url}, s)
			if err != nil {
				t.Fatalf("the runner broke off: %v\n%s", err, r.stderr)
			}
			if end.Error != "" {
				t.Errorf("%s\n%s", end.Error, strings.Join(end.Log, "\n"))
			}
		})
	}
}
