package cookbook

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

//go:embed contract/markethub.contract.json
var marketContract []byte

// newTokens verifies the tokens of an issuer (JWT).
func newTokens(secret []byte) (auth.Authenticator, error) {
	keys, err := bearer.Secret(secret)
	if err != nil {
		return nil, err
	}
	return bearer.New(bearer.Options{Keys: keys, Issuer: "https://login.example.com/", Audience: "market"})
}

// sessions authenticates by the cookies of a website.
func sessions(userOf func(session string) (id string, ok bool)) auth.Authenticator {
	return auth.Func(func(r *http.Request) (*auth.User, error) {
		cookies := r.CookiesNamed("session")
		if len(cookies) == 0 {
			return nil, nil // anonymous
		}
		id, ok := userOf(cookies[0].Value)
		if !ok {
			return nil, errors.New("the session does not exist")
		}
		return &auth.User{ID: id}, nil
	})
}

// newMarketHub returns a hub for members. Everybody else gets 401 or 403.
func newMarketHub() *hub.Hub {
	return hub.New(hub.Options{Name: "market", Authorize: []auth.Policy{auth.Role("member", "broker")}})
}

// mount mounts a hub for users and one for everybody.
func mount(mux *http.ServeMux, market, news *hub.Hub, users auth.Authenticator) *endpoint.Mounted {
	forUsers := endpoint.Recommended()
	forUsers.Authenticator = users
	forUsers.TicketLifetime = 30 * time.Second // keeps tokens out of URLs
	forUsers.Contract = marketContract         // at /market/contract.json

	forAll := endpoint.Recommended()
	forAll.AllowedOrigins = []string{"https://*.example.com"}

	return endpoint.Mount(mux, endpoint.At{
		"/market": endpoint.New(market, forUsers),
		"/news":   endpoint.New(news, forAll),
	})
}

// serve serves both until ctx ends, and then ends both in order.
func serve(ctx context.Context, addr string, hubs *endpoint.Mounted, mux *http.ServeMux) error {
	return hubs.ListenAndServe(ctx, &http.Server{Addr: addr, Handler: mux})
}
