package connection_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// nobody is an application that no connection reaches.
type nobody struct{}

func (nobody) Connect(transports.Connection) (transports.Receiver, error) {
	return nil, transports.ErrApplication
}

// Whatever a query says, it does not name a connection but by its whole token, given
// once.
func FuzzToken(f *testing.F) {
	for _, query := range []string{
		"id=TOKEN", "ID=TOKEN", "i%64=TOKEN", "id=TOKEN&id=TOKEN", "id=TOKEN&Id=", "id=TOKEN;x=1", "id=%", "id", "=TOKEN", "&&", "id=TOKEN%00",
		"id=+TOKEN", "id=TOKEN,TOKEN", "%69d=TOKEN&access_token=x", "id[]=TOKEN", "id=CONNECTION",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		registry := connection.NewRegistry(nobody{}, transports.Options{})
		c, err := registry.Create(&http.Request{}, true)
		if err != nil {
			t.Fatal(err)
		}
		query = strings.NewReplacer("TOKEN", c.Token(), "CONNECTION", c.ID()).Replace(query)
		r := httptest.NewRequest(http.MethodPost, "/hub", nil)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		connection.NewHandler(registry, nil).ServeHTTP(w, r)
		named := connection.Token(r) == c.Token()
		// Its transport has not come: that is answered without a text.
		if found := w.Code == http.StatusBadRequest && w.Body.Len() == 0; found != named {
			t.Errorf("%q: %d", query, w.Code)
		}
		if !named && strings.Contains(w.Body.String(), c.Token()) {
			t.Errorf("%q is told the token", query)
		}
		_ = registry.Shutdown(t.Context())
	})
}
