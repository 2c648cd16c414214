package integration_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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
			url := s.URL()
			switch scenario.Name {
			case "direct":
			case "401":
				url = withoutNegotiation(t, url)
			default:
				kind, err := middlebox.ByName(scenario.Name)
				if err != nil {
					t.Fatal(err)
				}
				url = kind.Start(t, s.Addr).URL
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

// withoutNegotiation is a proxy that lets nobody negotiate.
func withoutNegotiation(t *testing.T, server string) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(target))
	mux.HandleFunc("/hubs/clock/negotiate", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	proxy := httptest.NewServer(mux)
	t.Cleanup(proxy.Close)
	return proxy.URL
}
