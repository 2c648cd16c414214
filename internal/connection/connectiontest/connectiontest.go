// Package connectiontest helps the tests of the carriers.
package connectiontest

import (
	"net/http"
	"testing"
	"time"

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

// Kept is a response whose network connection cannot be hijacked.
type Kept struct{ http.ResponseWriter }

// Flush implements http.Flusher.
func (k Kept) Flush() { _ = http.NewResponseController(k.ResponseWriter).Flush() }

// SetWriteDeadline is for http.ResponseController.
func (k Kept) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(k.ResponseWriter).SetWriteDeadline(t)
}

// SetReadDeadline is for http.ResponseController.
func (k Kept) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(k.ResponseWriter).SetReadDeadline(t)
}
