package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/cluster"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/protocol"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// patience is the time limit of everything that must happen.
const patience = time.Minute

// gateway is one node with its hub.
type gateway struct {
	hub      *hub.Hub
	evidence *negotiate.Evidence
	endpoint *endpoint.Endpoint
	node     *cluster.Node
	server   *httptest.Server
	served   chan error
}

// newHub returns a hub with a method of each kind.
func newHub(commands hub.Commander) *hub.Hub {
	h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler), Commands: commands})
	h.Handle("Add", hub.Func2(func(_ context.Context, a, b int) (int, error) { return a + b, nil }))
	h.Handle("Count", hub.Stream1(func(_ context.Context, n int) (iter.Seq2[int, error], error) {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
		}, nil
	}))
	h.Handle("Join", hub.Func1(func(_ context.Context, words hub.Upload[string]) (string, error) {
		var all []string
		for word, err := range words.All() {
			if err != nil {
				return "", err
			}
			all = append(all, word)
		}
		return strings.Join(all, " "), nil
	}))
	h.Handle("AskMe", hub.Func0(func(ctx context.Context) (string, error) {
		return hub.Invoke[string](ctx, h.Clients().Caller(ctx), "Name", "you")
	}))
	h.Handle("WhoAmI", hub.Func0(func(ctx context.Context) (string, error) { return hub.CallerFrom(ctx).UserID(), nil }))
	h.Handle("Numbers", hub.Action1(func(ctx context.Context, n int) error {
		for i := range n {
			if err := h.Clients().Caller(ctx).Send(ctx, "Number", i); err != nil {
				return err
			}
		}
		return nil
	}))
	return h
}

// newGateways returns gateways of one cluster behind a balancer.
func newGateways(t *testing.T, n int, o endpoint.Options) (*balancer, []*gateway) {
	t.Helper()
	secrets, err := cluster.ParseSecrets(cluster.NewSecret())
	if err != nil {
		t.Fatal(err)
	}
	var links []net.Listener
	var peers []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		links, peers = append(links, l), append(peers, l.Addr().String())
	}
	o.Logger = slog.New(slog.DiscardHandler)
	var all []*gateway
	for i := range n {
		g := &gateway{evidence: negotiate.NewEvidence(negotiate.EvidenceOptions{}), served: make(chan error, 1)}
		g.node, err = cluster.New(cluster.Options{Secrets: secrets, Advertise: peers[i], Peers: peers, Logger: o.Logger})
		if err != nil {
			t.Fatal(err)
		}
		g.hub = newHub(g.node.Hub("/chat"))
		o := o
		o.Cluster, o.Policy = g.node.Hub("/chat"), g.evidence
		g.endpoint = endpoint.New(g.hub, o)
		g.server = httptest.NewServer(g.endpoint)
		go func() { g.served <- g.node.Serve(links[i]) }()
		all = append(all, g)
	}
	b := newBalancer(t, all)
	t.Cleanup(func() {
		b.stop()
		for _, g := range all {
			g.stop(t)
		}
	})
	return b, all
}

func (g *gateway) stop(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.endpoint.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	g.server.Close()
	if err := g.node.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-g.served; err != nil {
		t.Error(err)
	}
}

// balancer passes each request to the next gateway. It keeps no sessions. Negotiations have a
// turn of their own, so that each gateway gets some, and the next request goes to another one.
type balancer struct {
	*httptest.Server
	transport          *http.Transport
	negotiations, next atomic.Uint32
	breaks             atomic.Bool  // WebSocket handshakes arrive stripped
	broken             atomic.Int32 // such handshakes

	mu    sync.Mutex
	conns map[net.Conn]struct{} // of clients
}

func newBalancer(t *testing.T, all []*gateway) *balancer {
	t.Helper()
	var targets []*url.URL
	for _, g := range all {
		u, err := url.Parse(g.server.URL)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, u)
	}
	b := &balancer{transport: &http.Transport{MaxIdleConnsPerHost: 100}, conns: map[net.Conn]struct{}{}}
	proxy := &httputil.ReverseProxy{
		Transport: b.transport, FlushInterval: -1, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			turn := &b.next
			if strings.HasSuffix(r.In.URL.Path, "/negotiate") {
				turn = &b.negotiations
			}
			r.SetURL(targets[int(turn.Add(1))%len(targets)])
			r.Out.Host = r.In.Host
			if b.breaks.Load() && r.In.Header.Get("Upgrade") != "" {
				b.broken.Add(1)
				r.Out.Header.Del("Upgrade")
				r.Out.Header.Del("Connection")
			}
		},
	}
	b.next.Store(1)
	b.Server = httptest.NewUnstartedServer(proxy)
	b.Config.ConnState = b.note
	b.Start()
	return b
}

// note keeps the network connections of clients.
func (b *balancer) note(c net.Conn, s http.ConnState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch s {
	case http.StateNew:
		b.conns[c] = struct{}{}
	case http.StateClosed:
		delete(b.conns, c)
	}
}

// cut closes all network connections of clients.
func (b *balancer) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		_ = c.Close()
		delete(b.conns, c)
	}
}

func (b *balancer) stop() {
	b.cut()
	b.Close()
	b.transport.CloseIdleConnections()
}

// connect returns a connected client.
func connect(t *testing.T, b *balancer, o client.Options) *client.HubConnection {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	o.Memory, o.Logger = client.NewMemory(), slog.New(slog.DiscardHandler)
	o.HTTPClient = &http.Client{Transport: &http.Transport{}}
	c := client.New(b.URL+"/chat", o)
	c.On("Name", client.Func1(func(_ context.Context, of string) (string, error) { return "name of " + of, nil }))
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
		o.HTTPClient.CloseIdleConnections()
	})
	return c
}

// talk uses every kind of method.
func talk(t *testing.T, c *client.HubConnection) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range 10 {
		if sum, err := client.Invoke[int](ctx, c, "Add", i, 1); err != nil || sum != i+1 {
			t.Errorf("%d, %v", sum, err)
		}
	}
	n := 0
	for i, err := range client.Stream[int](ctx, c, "Count", 100) {
		if err != nil || i != n {
			t.Errorf("item %d, want %d, %v", i, n, err)
			break
		}
		n++
	}
	joined, err := client.Invoke[string](ctx, c, "Join", client.UploadSeq(slices.Values([]string{"a", strings.Repeat("b", 10_000), "c"})))
	if err != nil || len(joined) != 10_004 {
		t.Errorf("%d characters, %v", len(joined), err)
	}
	if name, err := client.Invoke[string](ctx, c, "AskMe"); err != nil || name != "name of you" {
		t.Errorf("%q, %v", name, err)
	}
}

func TestEveryTransportBehindRoundRobin(t *testing.T) {
	t.Parallel()
	b, all := newGateways(t, 3, endpoint.Options{})
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		for _, p := range []protocol.HubProtocol{protocol.NewJSON(protocol.JSONOptions{}), protocol.NewMessagePack()} {
			if transport == client.ServerSentEvents && p.Name() != "json" {
				continue
			}
			t.Run(fmt.Sprint(transport, " ", p.Name()), func(t *testing.T) {
				var talking sync.WaitGroup
				for range 6 {
					c := connect(t, b, client.Options{Transports: []client.Transport{transport}, Protocol: p})
					if c.Transport() != transport {
						t.Errorf("%s", c.Transport())
					}
					talking.Go(func() { talk(t, c) })
				}
				talking.Wait()
			})
		}
	}
	for i, g := range all {
		s := g.node.Stats()
		if s.Claimed == 0 || s.HandedOver == 0 || s.Forwarded == 0 || s.Served == 0 || s.Unreachable != 0 || s.Asked != 0 {
			t.Errorf("gateway %d: %+v", i, s)
		}
	}
}

// Connections resume at any node, on every transport, and nothing is lost or doubled.
func TestStatefulReconnectBehindRoundRobin(t *testing.T) {
	t.Parallel()
	b, _ := newGateways(t, 3, endpoint.Options{Options: transports.Options{AllowStatefulReconnect: true}})
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		t.Run(string(transport), func(t *testing.T) {
			c := connect(t, b, client.Options{Transports: []client.Transport{transport}, StatefulReconnect: true})
			const rounds, numbers = 5, 200
			got := make(chan int, rounds*numbers)
			c.On("Number", client.Action1(func(_ context.Context, n int) error { got <- n; return nil }))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			id := c.ConnectionID()
			for range rounds {
				called := make(chan error, 1)
				go func() { called <- c.Invoke(ctx, "Numbers", numbers) }()
				b.cut()
				if err := <-called; err != nil {
					t.Fatal(err)
				}
				for want := range numbers {
					select {
					case n := <-got:
						if n != want {
							t.Fatalf("%d, want %d", n, want)
						}
					case <-ctx.Done():
						t.Fatal("a number is missing")
					}
				}
			}
			if c.ConnectionID() != id {
				t.Error("the connection is another one")
			}
		})
	}
}

// Every node authenticates the requests that arrive there. The owner trusts it, keeps other users
// off, and accepts fresher credentials that arrive elsewhere.
func TestUsersBehindRoundRobin(t *testing.T) {
	t.Parallel()
	ends := time.Now().Add(time.Hour).Round(time.Second)
	tokens := auth.Func(func(r *http.Request) (*auth.User, error) {
		text, _ := auth.Token(r)
		name, number, ok := strings.Cut(text, "-")
		later, err := strconv.Atoi(number)
		if !ok || err != nil {
			return nil, &auth.TokenError{Reason: "The token is not valid"}
		}
		return &auth.User{ID: name, Expires: ends.Add(time.Duration(later) * time.Minute)}, nil
	})
	b, all := newGateways(t, 3, endpoint.Options{Authenticator: tokens, EnableAuthenticationRefresh: true})
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		t.Run(string(transport), func(t *testing.T) {
			var number atomic.Int32
			c := connect(t, b, client.Options{
				Transports: []client.Transport{transport}, DisableAutoRefresh: true,
				AccessToken: func(context.Context) (string, error) { return fmt.Sprintf("ann-%d", number.Load()), nil },
			})
			talk(t, c)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for range all { // each time at another node
				number.Add(60)
				lifetime, err := c.RefreshAuthentication(ctx)
				if want := time.Until(ends.Add(time.Duration(number.Load()) * time.Minute)); err != nil || (lifetime-want).Abs() > time.Minute {
					t.Errorf("%v, want %v, %v", lifetime, want, err)
				}
			}
			if user, err := client.Invoke[string](ctx, c, "WhoAmI"); err != nil || user != "ann" {
				t.Errorf("%q, %v", user, err)
			}
		})
	}
	for _, g := range all {
		if s := g.node.Stats(); s.Unreachable != 0 || s.Asked != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// Another user's requests with the token of a connection are refused, at every node.
func TestConnectionTokenOfAnotherUser(t *testing.T) {
	t.Parallel()
	byName := auth.Func(func(r *http.Request) (*auth.User, error) {
		name, _ := auth.Token(r)
		return &auth.User{ID: name}, nil
	})
	_, all := newGateways(t, 3, endpoint.Options{Authenticator: byName})
	ask := func(g *gateway, method, path, user string) (int, string) {
		request, _ := http.NewRequestWithContext(t.Context(), method, g.server.URL+"/chat"+path, nil)
		request.Header.Set("Authorization", "Bearer "+user)
		response, err := g.server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	_, offer := ask(all[0], http.MethodPost, "/negotiate?negotiateVersion=1", "ann")
	var negotiated signalr.Negotiation
	if err := json.Unmarshal([]byte(offer), &negotiated); err != nil || len(negotiated.ConnectionToken) != 80 {
		t.Fatalf("%s, %v", offer, err)
	}
	path := "?id=" + negotiated.ConnectionToken
	const changed = "The user associated with this connection changed."
	for _, step := range []struct {
		node         int
		method, user string
		status       int
		body         string
	}{
		{1, http.MethodGet, "bob", 403, changed},
		{1, http.MethodGet, "ann", 200, ""},
		{2, http.MethodPost, "bob", 403, changed},
		{2, http.MethodGet, "bob", 403, changed},
		{0, http.MethodDelete, "bob", 403, changed},
		{0, http.MethodDelete, "ann", 202, ""},
		{2, http.MethodPost, "ann", 404, "No Connection with that ID"},
		{0, http.MethodGet, "ann", 404, "No Connection with that ID"},
	} {
		status, body := ask(all[step.node], step.method, path, step.user)
		for end := time.Now().Add(patience); step.status == http.StatusNotFound && body == "" && time.Now().Before(end); {
			time.Sleep(time.Millisecond)                                     // a connection that has just ended is still known for a moment
			status, body = ask(all[step.node], step.method, path, step.user) // and is answered without a text, as by the original
		}
		if status != step.status || body != step.body {
			t.Errorf("%+v: %d %q", step, status, body)
		}
	}
}
