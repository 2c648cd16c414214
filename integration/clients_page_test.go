package integration_test

import (
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
)

// TestGatewayPage looks at the page that the gateway serves at /, in headless Chromium.
func TestGatewayPage(t *testing.T) {
	t.Parallel()
	testPages(t, "gateway.js")
}

// TestAccessibility has axe-core judge the pages in each of their states.
func TestAccessibility(t *testing.T) {
	t.Parallel()
	testPages(t, "accessibility.js")
}

// testPages runs the scenarios of a script against a gateway without tokens, or against one
// with tokens if their names end in "token".
func testPages(t *testing.T, script string) {
	t.Helper()
	r := clients.Start(t, script, "CHROMIUM="+clients.FindChromium(t), "SECRET="+tokenSecret)
	open, guarded := startGateways(t)
	for _, scenario := range r.Scenarios {
		s := open
		if strings.HasSuffix(scenario.Name, "token") {
			s = guarded
		}
		test(t, r, "chromium", scenario, s, clients.Combination{})
	}
}

// startGateways starts a gateway that is open to everybody, and one that asks for tokens.
func startGateways(t *testing.T) (open, guarded *server) {
	t.Helper()
	gateway := build(t, "../cmd/gateway")
	return startServer(t, true, gateway), startServer(t, true, gateway, "--jwt-key", secretFile(t))
}
