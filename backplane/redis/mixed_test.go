//go:build unix

package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/internal/testproc"
	"github.com/carillon-go/carillon/protocol"
)

// peer is a server in a cluster of both kinds.
type peer struct {
	name string
	url  string   // of a server that clients reach by HTTP
	hub  *hub.Hub // nil: a server of ASP.NET Core
	// do does an operation of the server: that of its name at the test program of ASP.NET Core.
	do      func(ctx context.Context, operation string, q url.Values) (result string, err error)
	members []*member
}

// member is a client of a peer.
type member struct {
	name, id, user string
	got            chan string
	ended          chan error
}

// hears registers what all members do. Members by JSON are alice's, the others bob's.
func (p *peer) hears(c *client.HubConnection, user string) *member {
	m := &member{name: p.name + " " + user, user: user, got: make(chan string, 1000), ended: make(chan error, 10)}
	c.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.To == client.Disconnected {
			m.ended <- change.Err
		}
	})
	c.On("Receive", client.Action1(func(_ context.Context, text string) error { m.got <- text; return nil }))
	c.On("Ask", client.Func1(func(_ context.Context, question string) (string, error) {
		if question == "fail" {
			return "", errors.New("no luck")
		}
		return m.name + " " + question, nil
	}))
	p.members = append(p.members, m)
	return m
}

var protocolsOfUsers = map[string]protocol.HubProtocol{"alice": protocol.NewJSON(protocol.JSONOptions{}), "bob": protocol.NewMessagePack()}

// originalAlone starts a server of ASP.NET Core, without clients. The test is skipped if it is not
// beside the checkout.
func (s *server) originalAlone(program string, flags ...string) *peer {
	s.t.Helper()
	path, err := filepath.Abs("../../../shared/reference/" + program)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		s.t.Skip("the original server is not beside the checkout: ", err)
	}
	addr := testproc.FreeAddress()
	s.run(slices.Concat([]string{path, "redisnode", "-addr", addr, "-redis", s.Addr, "-prefix", "app:", "-log", "Warning"}, flags)...)
	h := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	p := &peer{name: program, url: "http://" + addr, do: func(ctx context.Context, operation string, q url.Values) (string, error) {
		return control(ctx, h, "http://"+addr+"/ctl/"+operation+"?"+q.Encode())
	}}
	s.eventually(program+" serves", func() bool {
		_, err := p.do(s.t.Context(), "hello", nil)
		return err == nil
	})
	return p
}

// original starts a server of ASP.NET Core with two clients.
func (s *server) original(program string) *peer {
	s.t.Helper()
	p := s.originalAlone(program)
	for user, by := range protocolsOfUsers {
		h := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
		c := client.New(p.url+"/chat?user="+user, client.Options{Protocol: by, HTTPClient: h, HandshakeTimeout: time.Minute})
		m := p.hears(c, user)
		if err := c.Start(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { _ = c.Stop(context.Background()) })
		var err error
		if m.id, err = client.Invoke[string](s.t.Context(), c, "Me"); err != nil { // answered after it has joined
			s.t.Fatal(err)
		}
	}
	return p
}

func control(ctx context.Context, h *http.Client, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := h.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct {
		OK            bool
		Result, Error string
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", err
	}
	if !answer.OK {
		return "", errors.New(answer.Error)
	}
	return answer.Result, nil
}

// ourHub makes a hub with the name of one of the originals'.
func (s *server) ourHub(name string) *hub.Hub {
	s.t.Helper()
	plane := backplane.New(s.broker(Options{}), backplane.Options{Hub: "Reference." + name, ChannelPrefix: "app:"})
	s.t.Cleanup(plane.Close)
	return hub.New(hub.Options{Backplane: plane})
}

// ours makes a server with two clients and the settings of the originals.
func (s *server) ours(name, hubName string) *peer {
	s.t.Helper()
	h := s.ourHub(hubName)
	joined := make(chan struct{}, 1)
	h.OnConnected(func(context.Context) error { joined <- struct{}{}; return nil })
	p := &peer{name: name, hub: h, do: func(ctx context.Context, operation string, q url.Values) (string, error) {
		return operate(ctx, h, operation, q)
	}}
	for user, by := range protocolsOfUsers {
		o := hubtest.As(user)
		o.Client.Protocol = by
		c := hubtest.New(s.t, h, o)
		m := p.hears(c.HubConnection, user)
		if err := c.Start(s.t.Context()); err != nil {
			s.t.Fatal(err)
		}
		<-joined
		m.id = c.ConnectionID()
	}
	return p
}

func operate(ctx context.Context, h *hub.Hub, operation string, q url.Values) (string, error) {
	to, text := h.Clients(), q.Get("text")
	ids := strings.Split(q.Get("ids"), ",")
	switch operation {
	case "all":
		return "", to.All().Send(ctx, "Receive", text)
	case "allexcept":
		return "", to.AllExcept(ids...).Send(ctx, "Receive", text)
	case "group":
		return "", to.Group(q.Get("group")).Send(ctx, "Receive", text)
	case "groupexcept":
		return "", to.GroupExcept(q.Get("group"), ids...).Send(ctx, "Receive", text)
	case "user":
		return "", to.User(q.Get("user")).Send(ctx, "Receive", text)
	case "client":
		return "", to.Client(q.Get("id")).Send(ctx, "Receive", text)
	case "clients":
		return "", to.Clients(ids...).Send(ctx, "Receive", text)
	case "add":
		return "", h.Groups().Add(ctx, q.Get("id"), q.Get("group"))
	case "remove":
		return "", h.Groups().Remove(ctx, q.Get("id"), q.Get("group"))
	case "ask":
		return hub.Invoke[string](ctx, to.Client(q.Get("id")), "Ask", text)
	}
	return "", fmt.Errorf("no operation %q", operation)
}

// Servers of both kinds and of both releases are one cluster: every audience, groups with
// acknowledgements and client results, from each to each, in both protocols.
func TestMixedCluster(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	peers := []*peer{s.original("aspnet"), s.original("aspnet11"), s.ours("one", "ChatHub"), s.ours("two", "ChatHub")}
	var everybody []*member
	for _, p := range peers {
		everybody = append(everybody, p.members...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	steps := 0
	for _, from := range peers {
		group := "of " + from.name
		// step does an operation, and wants its text at the members that receive it.
		step := func(operation string, receives func(*member) bool, pairs ...string) {
			t.Helper()
			steps++
			text := fmt.Sprint(steps, " ", operation, " by ", from.name)
			q := url.Values{"text": {text}, "group": {group}}
			for i := 0; i < len(pairs); i += 2 {
				q.Set(pairs[i], pairs[i+1])
			}
			if _, err := from.do(ctx, operation, q); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			for _, m := range everybody {
				if !receives(m) {
					continue
				}
				select {
				case got := <-m.got:
					if got != text {
						t.Fatalf("%s got %q, want %q", m.name, got, text)
					}
				case <-ctx.Done():
					t.Fatalf("%s did not get %q", m.name, text)
				}
			}
		}
		nobody := func(*member) bool { return false }
		all := func(*member) bool { return true }
		first := everybody[0]
		step("all", all)
		step("allexcept", func(m *member) bool { return m != first && m != everybody[7] }, "ids", first.id+","+everybody[7].id)
		for _, m := range everybody {
			step("add", nobody, "id", m.id)
		}
		step("group", all)
		step("groupexcept", func(m *member) bool { return m != first }, "ids", first.id)
		step("remove", nobody, "id", first.id)
		step("group", func(m *member) bool { return m != first })
		step("user", func(m *member) bool { return m.user == "alice" }, "user", "alice")
		step("clients", func(m *member) bool { return slices.Contains(everybody[:5], m) }, "ids", idsOf(everybody[:5]))
		for _, m := range everybody {
			step("client", func(other *member) bool { return other == m }, "id", m.id)
			if got, err := from.do(ctx, "ask", url.Values{"id": {m.id}, "text": {"é?"}}); err != nil || got != m.name+" é?" {
				t.Errorf("%s asks %s: %q, %v", from.name, m.name, got, err)
			}
			if _, err := from.do(ctx, "ask", url.Values{"id": {m.id}, "text": {"fail"}}); err == nil || !strings.Contains(err.Error(), "no luck") {
				t.Errorf("%s asks %s, who fails: %v", from.name, m.name, err)
			}
		}
		if _, err := from.do(ctx, "ask", url.Values{"id": {"nobody"}, "text": {""}}); err == nil || !strings.Contains(err.Error(), "Connection 'nobody' does not exist.") {
			t.Errorf("%s asks nobody: %v", from.name, err)
		}
		step("all", all) // nothing else has come
	}
	s.expectPresence(peers[2], peers[0], everybody)
	s.expectPresence(peers[3], peers[1], everybody)
}

func idsOf(members []*member) string {
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.id
	}
	return strings.Join(ids, ",")
}
