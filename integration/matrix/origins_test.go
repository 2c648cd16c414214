package matrix_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/transports"
)

// A page of another origin uses two hubs of one mux in Chromium, over every transport, with a
// token. A page of an origin that one of them does not allow reaches that hub over none.
func TestPageOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	chromium := &officialVisitor{"Chromium", clients.Start(t, "reach-chromium.js", "CHROMIUM="+clients.FindChromium(t))}
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer site.Close()
	at := func(origin string) *endpoint.Endpoint {
		return endpoint.New(hub.New(hub.Options{}), endpoint.Options{
			Authenticator: auth.Func(func(r *http.Request) (*auth.User, error) {
				if text, _ := auth.Token(r); text == "of-alice" {
					return &auth.User{ID: "alice"}, nil
				}
				return nil, nil
			}),
			Options: transports.Options{AllowedOrigins: []string{origin}},
		})
	}
	mux := http.NewServeMux()
	hubs := endpoint.Mount(mux, endpoint.At{"/chat": at(site.URL), "/t/{tenant}/news": at(site.URL), "/closed": at("https://other.example")})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = hubs.Shutdown(ctx) // cuts what the browser left
	}()
	var cells []cell
	for _, path := range []string{"/chat", "/t/7/news", "/closed"} {
		for _, transport := range []string{"WebSockets", "ServerSentEvents", "LongPolling"} {
			cells = append(cells, cell{Name: path + " " + transport, Page: site.URL, Visit: visit{
				URL: server.URL + path, Transport: transport, Token: "of-alice", Quiet: 1, Limit: 60_000,
			}})
		}
	}
	for i, start := range chromium.visit(t, cells...) {
		closed := strings.HasPrefix(cells[i].Name, "/closed")
		if refused := strings.Contains(start.Error, "Failed to fetch"); refused != closed || start.Error != "" && !closed {
			t.Errorf("%s: %q\n%s", cells[i].Name, start.Error, strings.Join(start.Log, "\n"))
		}
	}
}
