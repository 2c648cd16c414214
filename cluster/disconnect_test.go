package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

// awaitEnd waits until a client is disconnected.
func awaitEnd(t *testing.T, c *client.HubConnection) {
	t.Helper()
	for end := time.Now().Add(patience); c.State() != client.Disconnected; {
		if time.Now().After(end) {
			t.Fatalf("the connection is %s", c.State())
		}
		time.Sleep(time.Millisecond) // nothing wakes this wait
	}
}

// Every node ends every connection, wherever it is.
func TestDisconnectBehindRoundRobin(t *testing.T) {
	t.Parallel()
	b, all := newGateways(t, 3, endpoint.Options{})
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		t.Run(string(transport), func(t *testing.T) {
			stays := connect(t, b, client.Options{Transports: []client.Transport{transport}})
			for _, g := range all {
				for range all {
					c := connect(t, b, client.Options{Transports: []client.Transport{transport}})
					if err := g.hub.Disconnect(t.Context(), c.ConnectionID(), "none"); err != nil {
						t.Error(err)
					}
					awaitEnd(t, c)
				}
			}
			talk(t, stays)
		})
	}
}

// Every node ends all connections of a user, and those of no other one.
func TestDisconnectUserBehindRoundRobin(t *testing.T) {
	t.Parallel()
	b, all := newGateways(t, 3, endpoint.Options{Authenticator: auth.Func(func(r *http.Request) (*auth.User, error) {
		name, _ := auth.Token(r)
		return &auth.User{ID: name}, nil
	})})
	as := func(name string) *client.HubConnection {
		return connect(t, b, client.Options{AccessToken: func(context.Context) (string, error) { return name, nil }})
	}
	bob := as("bob")
	for _, g := range all {
		var anns []*client.HubConnection
		for range 2 * len(all) {
			anns = append(anns, as("ann\xff"))
		}
		if err := g.hub.DisconnectUser(t.Context(), "ann\xff"); err != nil {
			t.Error(err)
		}
		for _, ann := range anns {
			awaitEnd(t, ann)
		}
	}
	talk(t, bob)
}

// Every node adds every connection to a group of its node, and removes it.
func TestGroupsBehindRoundRobin(t *testing.T) {
	t.Parallel()
	b, all := newGateways(t, 3, endpoint.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, g := range all {
		for range all {
			c := connect(t, b, client.Options{})
			got := make(chan int, 10)
			c.On("Number", client.Action1(func(_ context.Context, n int) error { got <- n; return nil }))
			send := func(n int) {
				for _, g := range all {
					if err := g.hub.Clients().Group("g").Send(ctx, "Number", n); err != nil {
						t.Error(err)
					}
				}
			}
			if err := g.hub.Groups().Add(ctx, c.ConnectionID(), "g"); err != nil {
				t.Error(err)
			}
			send(1000)
			if err := g.hub.Groups().Remove(ctx, c.ConnectionID(), "g"); err != nil {
				t.Error(err)
			}
			send(2000)
			if err := c.Invoke(ctx, "Numbers", 1); err != nil {
				t.Error(err)
			}
			for _, want := range []int{1000, 0} {
				select {
				case n := <-got:
					if n != want {
						t.Errorf("got %d, want %d", n, want)
					}
				case <-ctx.Done():
					t.Fatalf("%d has not arrived", want)
				}
			}
		}
	}
}

// Every node closes the connections of a group at all nodes, with a reason, and those of users. A
// membership of a user holds at every node, for the connections that come later too.
func TestUserGroupsBehindRoundRobin(t *testing.T) {
	t.Parallel()
	b, all := newGateways(t, 2, endpoint.Options{Authenticator: auth.Func(func(r *http.Request) (*auth.User, error) {
		name, _ := auth.Token(r)
		return &auth.User{ID: name}, nil
	})})
	as := func(name string) *client.HubConnection {
		return connect(t, b, client.Options{AccessToken: func(context.Context) (string, error) { return name, nil }})
	}
	bob := as("bob")
	for i, g := range all {
		group := fmt.Sprint("\xff", i)
		anns := []*client.HubConnection{as("ann"), as("ann")}
		if err := g.hub.UserGroups().Add(t.Context(), "ann", group, time.Hour); err != nil {
			t.Fatal(err)
		}
		anns = append(anns, as("ann"), as("ann"))
		for _, other := range all {
			if in, err := other.hub.UserGroups().Has(t.Context(), "ann", group); !in || err != nil {
				t.Errorf("ann is not in the group: %v", err)
			}
		}
		ends := make(chan error, len(anns))
		for _, ann := range anns {
			ann.OnStateChange(func(_ context.Context, change client.StateChange) {
				if change.To == client.Disconnected {
					ends <- change.Err
				}
			})
		}
		to := hub.Audience{Kind: hub.InGroups, Names: []string{group}, Except: []string{anns[0].ConnectionID()}}
		if err := g.hub.CloseConnections(t.Context(), to, "over\u00e9", true); err != nil {
			t.Fatal(err)
		}
		for range anns[1:] {
			if closed, ok := errors.AsType[*client.CloseError](<-ends); !ok || closed.Message != "over\u00e9" || !closed.AllowReconnect {
				t.Errorf("the end is %+v", closed)
			}
		}
		talk(t, anns[0])
		if err := g.hub.UserGroups().RemoveAll(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		for _, other := range all {
			if in, err := other.hub.UserGroups().Has(t.Context(), "ann", group); in || err != nil {
				t.Errorf("ann is in the group after it was removed: %v", err)
			}
		}
	}
	talk(t, bob)
	if err := all[0].hub.CloseConnections(t.Context(), hub.Audience{}, "", false); err != nil {
		t.Fatal(err)
	}
	awaitEnd(t, bob)
}
