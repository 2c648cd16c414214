package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// discarding is a ResponseWriter that costs nothing.
type discarding struct{ header http.Header }

func (d *discarding) Header() http.Header       { return d.header }
func (*discarding) Write(b []byte) (int, error) { return len(b), nil }
func (*discarding) WriteHeader(int)             {}

// BenchmarkNegotiate is a negotiation without its HTTP server.
func BenchmarkNegotiate(b *testing.B) {
	var e *endpoint.Endpoint
	w := &discarding{header: http.Header{}}
	r := httptest.NewRequest(http.MethodPost, "/hub/negotiate?negotiateVersion=1", nil)
	b.ReportAllocs()
	for i := range b.N {
		if i%10_000 == 0 { // nobody opens them
			e = endpoint.New(hub.New(hub.Options{}), endpoint.Options{Options: transports.Options{Limits: transports.Unlimited()}})
		}
		e.ServeHTTP(w, r)
	}
}
