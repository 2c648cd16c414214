package endpoint_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/signalr"
)

// A ticket is good at every process. It opens one connection, which stays with it.
func TestTicketsInACluster(t *testing.T) {
	nodes := startTown(t, endpoint.Options{TicketLifetime: time.Minute, EnableAuthenticationRefresh: true}, "a", "b", "c")
	a, b, c := nodes["a"], nodes["b"], nodes["c"]
	redeem := func(n *node, credentials string) (status int, offer signalr.Negotiation) {
		t.Helper()
		status, text := n.ask(http.MethodPost, "/negotiate?negotiateVersion=1", "", "Authorization", "Bearer "+credentials)
		if err := json.Unmarshal([]byte(text), &offer); status == http.StatusOK && err != nil {
			t.Error(text, err)
		}
		return status, offer
	}
	status, offer := redeem(a, "anna")
	ticket := offer.AccessToken
	if status != http.StatusOK || ticket == "" {
		t.Fatal(status, offer)
	}
	_, offer = redeem(b, ticket)
	token := offer.ConnectionToken
	a.wantConnections(1)
	b.wantConnections(0)
	_, other := redeem(b, "anna")
	for _, wrong := range []string{token + "&access_token=" + other.AccessToken, token + "&access_token=anna", "x&access_token=" + ticket, token} {
		if _, response, err := c.dial(wrong, nil); err == nil || response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	conn, _, err := c.dial(token+"&access_token="+ticket, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := conn.ReadMessage(); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	if _, response, err := b.dial(token+"&access_token="+ticket, nil); err == nil || response.StatusCode != http.StatusConflict {
		t.Errorf("a second WebSocket: %v", err)
	}
	b.want(200, "{}", http.MethodPost, "/refresh", "", connectionToken, token, "Authorization", "Bearer "+ticket)
	finds := b.finds.Load() + c.finds.Load()
	for _, n := range []*node{a, b, c} {
		for _, used := range []string{ticket, "ticket.x", "ticket.", "ticket.a", "ticket." + offer.ConnectionID} {
			if status, _ := redeem(n, used); status != http.StatusUnauthorized {
				t.Errorf("%s at %s: %d", used, n.name, status)
			}
		}
	}
	if n := b.finds.Load() + c.finds.Load() - finds; n != 2 { // for the ticket itself
		t.Errorf("asked %d times", n)
	}
}

// While the setting changes, one process issues tickets and another one does not. That one
// authenticates a request with a ticket too, because the first process has not.
func TestTicketForAProcessWithoutTickets(t *testing.T) {
	nodes := startTown(t, endpoint.Options{TicketLifetime: time.Minute}, "a", "b")
	a, b := nodes["a"], nodes["b"]
	onlyAnna := auth.Func(func(r *http.Request) (*auth.User, error) {
		if text, _ := auth.Token(r); text != "anna" {
			return nil, &auth.TokenError{Reason: "not anna"}
		}
		return &auth.User{ID: "anna"}, nil
	})
	b.e = endpoint.NewRaw(echo{}, endpoint.Options{Authenticator: onlyAnna, Cluster: b})
	defer func() { _ = b.e.Shutdown(t.Context()) }()
	server := httptest.NewServer(b.e)
	defer server.Close()
	b.url = server.URL + "/echo"
	token := b.negotiate("Authorization", "Bearer anna")
	for _, path := range []string{"/negotiate?negotiateVersion=1", "?id=" + token} {
		if status, text := a.ask(http.MethodPost, path, "", "Authorization", "Bearer ticket."+token); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %q", path, status, text)
		}
	}
}

// Without its own authentication an endpoint cannot accept the tickets of other processes.
func TestTicketsInAClusterNeedAnAuthenticator(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an endpoint that refuses the tickets of other processes")
		}
	}()
	endpoint.NewRaw(echo{}, endpoint.Options{TicketLifetime: time.Minute, Cluster: &node{}})
}
