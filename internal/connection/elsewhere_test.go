package connection

import (
	"net/http"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

func promiseTo(t *testing.T, r *Registry, u *auth.User) *Negotiation {
	t.Helper()
	n, err := r.Admit((&http.Request{}).WithContext(auth.WithUser(t.Context(), u)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Promise(n, Terms{HasToken: true}); err != nil {
		t.Fatal(err)
	}
	return n
}

// The owner of a negotiation is known without a connection, which a request may not deserve
// before it is authenticated.
func TestLookupMakesNoConnection(t *testing.T) {
	r := NewRegistry(nil, transports.Options{})
	user := (&auth.User{ID: "anna"}).WithTicket(auth.NewTicket("digest"))
	n := promiseTo(t, r, user)
	for _, opened := range []bool{false, true} {
		owner := r.Lookup(n.Token())
		if owner == nil || owner.User() != user || !owner.HasTicket("digest") || owner.HasTicket("other") {
			t.Errorf("opened %v: %+v", opened, owner)
		}
		if got := len(r.connections); got != map[bool]int{true: 1}[opened] {
			t.Errorf("%d connections", got)
		}
		r.Find(n.Token())
	}
	if r.Lookup(n.ID()) != nil || r.Lookup("") != nil {
		t.Error("an id has an owner")
	}
	_ = r.Shutdown(t.Context())
}
