package integration_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/integration/middlebox"
)

// The page that diagnoses finds in Chromium what stands in between.
func TestDiagnosePage(t *testing.T) {
	t.Parallel()
	r := clients.Start(t, "diagnose.js", "CHROMIUM="+clients.FindChromium(t), "SECRET="+tokenSecret)
	gateway := build(t, "../cmd/gateway")
	s := startServer(t, true, gateway)
	guarded := startServer(t, true, gateway, "--jwt-key", secretFile(t))
	withoutWebSockets := startServer(t, true, gateway, "--transports", "ServerSentEvents,LongPolling")
	quiet := startServer(t, true, gateway, "--interval", "1h") // its ticks keep no connection from being idle
	for _, scenario := range r.Scenarios {
		t.Run(scenario.Name, func(t *testing.T) {
			url := s.URL()
			switch scenario.Name {
			case "direct", "progress", "field":
			case "not offered":
				url = withoutWebSockets.URL()
			case "no token", "expired token", "valid token":
				url = guarded.URL()
			case "401", "quoted token":
				url = withoutNegotiation(t, url)
			default:
				kind, err := middlebox.ByName(scenario.Name)
				if err != nil {
					t.Fatal(err)
				}
				url = kind.Start(t, quiet.Addr).URL
			}
			end, err := r.Run(clients.Order{Scenario: scenario.Name, URL: url}, s.do)
			if err != nil {
				t.Fatalf("the runner broke off: %v\n%s", err, r.Stderr)
			}
			if end.Error != "" {
				t.Errorf("%s\n%s", end.Error, strings.Join(end.Log, "\n"))
			}
		})
	}
}

// tokenSecret verifies the tokens of guarded servers.
const tokenSecret = "a secret of more than 32 bytes, for tests"

func secretFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(tokenSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// withoutNegotiation is a proxy that answers negotiations with 401 and quotes the token.
func withoutNegotiation(t *testing.T, server string) string {
	t.Helper()
	target, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", httputil.NewSingleHostReverseProxy(target))
	mux.HandleFunc("/hubs/clock/negotiate", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, r.Header.Get("Authorization")+url.QueryEscape(r.Header.Get("Authorization")), http.StatusUnauthorized)
	})
	proxy := httptest.NewServer(mux)
	t.Cleanup(proxy.Close)
	return proxy.URL
}
