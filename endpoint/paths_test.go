package endpoint_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

// An endpoint with every option serves the paths of PathsAt, and each of them below its own path
// is a part.
func TestPathsAreServed(t *testing.T) {
	t.Parallel()
	e := endpoint.New(hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)}),
		endpoint.Options{Events: endpoint.Events{Enabled: true}, EnableAuthenticationRefresh: true, Diagnose: true, Contract: []byte("{}")})
	defer func() { _ = e.Shutdown(t.Context()) }()
	paths := endpoint.PathsAt("/hub")
	for _, below := range append(slices.Clone(paths.Clients[1:]), paths.Script, paths.Diagnose, paths.Contract) {
		if !endpoint.IsPart(strings.TrimPrefix(below, "/hub/")) {
			t.Errorf("%s is no part", below)
		}
		answer := httptest.NewRecorder() // the endpoint refuses a hub at the path of a part that it serves
		e.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, below+"/negotiate?negotiateVersion=1", nil))
		if !strings.Contains(answer.Body.String(), "must not end in") {
			t.Errorf("%s is not served: %d %s", below, answer.Code, answer.Body)
		}
	}
	for segment, want := range map[string]bool{"Negotiate": true, "EVENTS": true, "hub": false, "": false, "event": false} {
		if endpoint.IsPart(segment) != want {
			t.Errorf("%q", segment)
		}
	}
}
