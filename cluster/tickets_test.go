package cluster_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/signalr"
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

// A client that a cookie identifies reconnects with the ticket of its last connection, also at another node than the one that
// issued it.
func TestTicketThatIsOverAtAnotherNode(t *testing.T) {
	t.Parallel()
	_, all := newGateways(t, 2, endpoint.Options{
		TicketLifetime: time.Nanosecond, // nothing else can use up a ticket before it is asked for
		Authenticator: auth.Func(func(r *http.Request) (*auth.User, error) {
			for _, cookie := range r.CookiesNamed("session") {
				return &auth.User{ID: cookie.Value}, nil
			}
			return nil, &auth.TokenError{Reason: "nobody"}
		}),
	})
	negotiate := func(g *gateway, ticket, cookie string) (int, signalr.Negotiation) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.server.URL+"/chat/negotiate?negotiateVersion=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if ticket != "" {
			r.Header.Set("Authorization", "Bearer "+ticket)
		}
		r.Header.Set("Cookie", cookie)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var offer signalr.Negotiation
		_ = json.NewDecoder(response.Body).Decode(&offer)
		return response.StatusCode, offer
	}
	_, first := negotiate(all[0], "", "session=anna")
	for _, g := range all {
		status, again := negotiate(g, first.AccessToken, "session=anna")
		if status != http.StatusOK || again.URL != g.server.URL+"/chat" || again.AccessToken == "" || again.AccessToken == first.AccessToken {
			t.Errorf("with a cookie: %d %+v", status, again)
		}
		if status, _ = negotiate(g, first.AccessToken, ""); status != http.StatusUnauthorized {
			t.Errorf("without a cookie: %d", status)
		}
	}
}
