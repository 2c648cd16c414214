package integration_test

import "testing"

// TestGatewayPage looks at the page that the gateway serves at /, in headless Chromium.
func TestGatewayPage(t *testing.T) {
	t.Parallel()
	r := startRunner(t, "gateway.js", "CHROMIUM="+findChromium(t))
	s := startServer(t, true, build(t, "../cmd/gateway"))
	for _, scenario := range r.scenarios {
		r.test(t, "chromium", scenario, s, combination{})
	}
}
