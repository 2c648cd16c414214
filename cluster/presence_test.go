package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
)

// complete repeats a question until all nodes have answered it within its second.
func complete(t *testing.T, ask func() (missing int, err error)) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		missing, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		if missing == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d nodes have not answered", missing)
		}
	}
}

// listAll returns the connections of all pages.
func listAll(t *testing.T, h *hub.Hub, to hub.Audience, size int) (all []hub.Member) {
	t.Helper()
	for after := ""; ; {
		var p hub.Page
		complete(t, func() (_ int, err error) {
			p, err = h.Connections(t.Context(), to, after, size)
			return p.Missing, err
		})
		all = append(all, p.Members...)
		if after = p.Next; after == "" {
			return all
		}
	}
}

// Every node counts, lists and finds the connections of all nodes.
func TestPresenceBehindRoundRobin(t *testing.T) {
	t.Parallel()
	b, all := newGateways(t, 3, endpoint.Options{Authenticator: auth.Func(func(r *http.Request) (*auth.User, error) {
		name, _ := auth.Token(r)
		return &auth.User{ID: name}, nil
	})})
	var everyone, even []hub.Member
	for i := range 9 {
		name := fmt.Sprintf("user\xff%d", i)
		c := connect(t, b, client.Options{
			Transports:  []client.Transport{[]client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling}[i%3]},
			AccessToken: func(context.Context) (string, error) { return name, nil },
		})
		m := hub.Member{ConnectionID: c.ConnectionID(), UserID: name}
		if everyone = append(everyone, m); i%2 == 0 {
			even = append(even, m)
			if err := all[0].hub.Groups().Add(t.Context(), m.ConnectionID, "even"); err != nil {
				t.Fatal(err)
			}
		}
	}
	group := hub.Audience{Kind: hub.InGroups, Names: []string{"even"}}
	for _, g := range all {
		for _, part := range []struct {
			to   hub.Audience
			want []hub.Member
		}{{hub.Audience{}, everyone}, {group, even}} {
			slices.SortFunc(part.want, func(a, b hub.Member) int { return strings.Compare(a.ConnectionID, b.ConnectionID) })
			complete(t, func() (int, error) {
				c, err := g.hub.Count(t.Context(), part.to)
				if c.Missing == 0 && c.Connections != len(part.want) {
					t.Errorf("%+v, want %d", c, len(part.want))
				}
				return c.Missing, err
			})
			if got := listAll(t, g.hub, part.to, 2); !slices.Equal(got, part.want) {
				t.Errorf("%v, want %v", got, part.want)
			}
		}
		for i, to := range []hub.Audience{
			{Kind: hub.ToConnections, Names: []string{even[0].ConnectionID}}, {Kind: hub.OfUsers, Names: []string{even[4].UserID}}, group,
			{Kind: hub.OfUsers, Names: []string{"user"}}, {Kind: hub.InGroups, Names: []string{"odd"}},
			{Kind: hub.ToConnections, Names: []string{even[0].ConnectionID}, Except: []string{even[0].ConnectionID}},
		} {
			complete(t, func() (int, error) {
				found, missing, err := g.hub.Exists(t.Context(), to)
				if missing == 0 && found != (i < 3) {
					t.Errorf("%v: found %v", to, found)
				}
				return missing, err
			})
		}
	}
}

// idle is a connection that receives nothing.
type idle string

func (c idle) ID() string                                 { return string(c) }
func (idle) Context() context.Context                     { return context.Background() }
func (idle) Close(error)                                  {}
func (idle) Abort(error)                                  {}
func (idle) Send(*frame.Frame) error                      { return nil }
func (idle) SendWait(context.Context, *frame.Frame) error { return nil }

func enter(h *hub.Hub, id string) (leave func()) {
	s := h.Connect(idle(id), hub.ConnectInfo{Transport: "WebSockets", Binary: true})
	_ = s.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e"))
	return func() { s.Disconnected(nil) }
}

// Whatever comes and goes at three nodes, a connection that stays is on exactly one page.
func TestPagesOfSeveralNodesWhileConnectionsComeAndGo(t *testing.T) {
	t.Parallel()
	_, all := newGateways(t, 3, endpoint.Options{})
	var stays []string
	for i := range 1500 {
		id := fmt.Sprintf("%04d", i)
		defer enter(all[i%3].hub, id)() //nolint:revive // at the end of the test
		stays = append(stays, id)
	}
	stop := make(chan struct{})
	var changing sync.WaitGroup
	defer changing.Wait()
	defer close(stop)
	for _, g := range all {
		changing.Go(func() {
			leaves := map[int]func(){}
			for {
				select {
				case <-stop:
					for _, leave := range leaves {
						leave()
					}
					return
				case <-time.After(time.Millisecond): // the nodes need the processor, too
				}
				i := rand.N(1500)
				if leave := leaves[i]; leave != nil {
					leave()
					delete(leaves, i)
				} else {
					leaves[i] = enter(g.hub, fmt.Sprintf("%04d-%p", i, g))
				}
			}
		})
	}
	for _, size := range []int{50, 1000} {
		var got []string
		for _, m := range listAll(t, all[0].hub, hub.Audience{}, size) {
			if !strings.Contains(m.ConnectionID, "-") {
				got = append(got, m.ConnectionID)
			}
		}
		if !slices.Equal(got, stays) {
			t.Errorf("pages of %d: %d of %d connections, or not in order", size, len(got), len(stays))
		}
	}
}
