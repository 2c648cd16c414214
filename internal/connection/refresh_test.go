package connection

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

// The longest lifetime bounds that of every connection, whether it was negotiated or not.
func TestLongestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := NewRegistry(resuming{}, transports.Options{})
		registry.SetRefreshing(Refreshing{Max: time.Minute})
		for name, expires := range map[string]time.Time{"long": time.Now().Add(time.Hour), "for ever": {}} {
			r := httptest.NewRequest(http.MethodGet, "/hub", nil)
			r = r.WithContext(auth.WithUser(t.Context(), &auth.User{ID: "alice", Expires: expires}))
			n := promise(t, registry, r, Terms{HasToken: true})
			skipped, err := registry.Create(r, false)
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range []*auth.User{n.User(), registry.Find(n.Token()).User(), skipped.User()} {
				if end := u.End(time.Time{}); !end.Equal(time.Now().Add(time.Minute)) {
					t.Errorf("%s: it ends in %v", name, time.Until(end))
				}
			}
		}
		if err := registry.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
