package transporttest

import (
	"net/http"
	"testing"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// Promise negotiates a connection of a registry. The observer may be nil.
func Promise(t *testing.T, r *connection.Registry, o transports.Observer) *connection.Negotiation {
	t.Helper()
	n, err := r.Admit(&http.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Promise(n, connection.Terms{HasToken: true, Observer: o}); err != nil {
		t.Fatal(err)
	}
	return n
}
