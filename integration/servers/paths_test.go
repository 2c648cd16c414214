package servers

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

// The wildcards of chi reach methods, also those of a router within a router and those with a
// regular expression.
func TestPathValuesOfChi(t *testing.T) {
	t.Parallel()
	h := hub.New(hub.Options{})
	h.Handle("Path", hub.Func0(func(ctx context.Context) (string, error) {
		r := hub.CallerFrom(ctx).Request()
		return r.PathValue("tenant") + " " + r.PathValue("room"), nil
	}))
	e := endpoint.New(h, endpoint.Options{})
	outer := chi.NewRouter()
	outer.Route("/t/{tenant}", func(inner chi.Router) {
		inner.Handle("/{room:[0-9]+}/chat", e)
		inner.Handle("/{room:[0-9]+}/chat/*", e)
	})
	server := httptest.NewServer(http.Handler(outer))
	t.Cleanup(func() {
		_ = e.Shutdown(context.Background())
		server.Close()
	})
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		c := client.New(server.URL+"/t/acme/7/chat", client.Options{Transports: []client.Transport{transport}})
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := client.Invoke[string](t.Context(), c, "Path"); got != "acme 7" || err != nil {
			t.Errorf("%s: %q, %v", transport, got, err)
		}
		_ = c.Stop(t.Context())
	}
}
