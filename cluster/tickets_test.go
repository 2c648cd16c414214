package cluster_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
)

// Clients with tickets connect over every transport, whatever nodes their requests arrive at.
func TestTicketsBehindRoundRobin(t *testing.T) {
	t.Parallel()
	b, all := newGateways(t, 3, endpoint.Options{
		TicketLifetime: patience,
		Authenticator: auth.Func(func(r *http.Request) (*auth.User, error) {
			if text, inURL := auth.Token(r); text != "anna" || inURL {
				return nil, &auth.TokenError{Reason: "not anna"}
			}
			return &auth.User{ID: "anna", Expires: time.Now().Add(time.Hour)}, nil
		}),
	})
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		t.Run(string(transport), func(t *testing.T) {
			for range 5 {
				talk(t, connect(t, b, client.Options{
					Transports:  []client.Transport{transport},
					AccessToken: func(context.Context) (string, error) { return "anna", nil },
				}))
			}
		})
	}
	for i, g := range all {
		if s := g.node.Stats(); s.Claimed != 0 || s.Forwarded == 0 || s.Served == 0 {
			t.Errorf("gateway %d: %+v", i, s)
		}
	}
}
