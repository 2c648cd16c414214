package negotiation_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/negotiation"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// Whatever a query says, negotiation answers with an offer or an error, in JSON, and
// makes a connection for the first only.
func FuzzNegotiate(f *testing.F) {
	for _, query := range []string{
		"", "negotiateVersion=1", "negotiateVersion=+%201%00", "negotiateVersion=1&negotiateVersion=1", "NegotiateVersion=-2147483649",
		"negotiateVersion=1&useStatefulReconnect=true", "usestatefulreconnect=%20TRUE", "negotiateVersion=0x1", "%zz=1", "a;b&=&",
		"useStatefulReconnect=true&statefulTransports=all",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		registry := connection.NewRegistry(nobody{}, transports.Options{AllowStatefulReconnect: true})
		r := httptest.NewRequest(http.MethodPost, "/hub/negotiate", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		negotiation.NewHandler(registry, true, negotiation.Options{}).ServeHTTP(w, r)
		var answer signalr.Negotiation
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%q: %d %s, %v", query, w.Code, w.Body, err)
		}
		offered := answer.Error == ""
		if offered != (registry.Len() == 1) || offered != (len(answer.AvailableTransports) == 3) || offered != (len(answer.ConnectionID) == 22) {
			t.Errorf("%q: %s", query, w.Body)
		}
		if (answer.ConnectionToken != "") != (answer.NegotiateVersion == 1) || answer.ConnectionToken == answer.ConnectionID && offered {
			t.Errorf("%q: %s", query, w.Body)
		}
		_ = registry.Shutdown(t.Context())
	})
}
