package endpoint_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/signalr"
)

// town holds the processes of an endpoint. A token names the process that negotiated.
type town struct {
	t     *testing.T
	mu    sync.Mutex // held while a process is asked about a connection
	nodes map[string]*node
}

// node is one process. It implements connection.Elsewhere.
type node struct {
	town  *town
	name  string
	url   string
	local connection.Local
	e     *endpoint.Endpoint
	moved map[string]*node // owners of the connections that were negotiated here
	finds atomic.Int32     // calls of Find
	claim func() error     // called before a claim; nil: nothing is
	ended atomic.Bool      // Drain was called
	learn connection.Learner
	told  atomic.Int32 // calls of Tell with news
}

func (n *node) Join(l connection.Local) { n.local = l }
func (n *node) Seal(key string) string  { return n.name + "!" + key }
func (n *node) Open(token string) (string, bool) {
	home, key, ok := strings.Cut(token, "!")
	return key, ok && n.town.nodes[home] != nil
}

func (n *node) Drain() { n.ended.Store(true) }

func (n *node) Share(l connection.Learner) {
	n.learn = l
	_ = l.News()
}

func (n *node) Tell(context.Context) {
	if n.learn.News() != nil {
		n.told.Add(1)
	}
}

func (n *node) Find(r *http.Request, token string, c connection.Claimer) (connection.Forward, error) {
	n.finds.Add(1)
	name, key, _ := strings.Cut(token, "!")
	n.town.mu.Lock()
	defer n.town.mu.Unlock()
	home := n.town.nodes[name]
	owner := home.moved[key]
	if owner == nil && home == n {
		return nil, nil
	}
	if _, opened := home.local.Holds(key); opened {
		owner = home
	}
	if owner == nil && c != nil {
		if n.claim != nil {
			if err := n.claim(); err != nil {
				return nil, err
			}
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
		}
		if err := c.Admit(); err != nil {
			return nil, err
		}
		if h, ok := home.local.HandOver(key, auth.UserFrom(r.Context())); ok {
			home.moved[key] = n
			if h.User.Ticket() != nil {
				n.town.t.Errorf("a negotiation with a ticket moves")
			}
			return nil, c.Adopt(overTheWire(n.town.t, h))
		}
	}
	if owner == nil {
		owner = home
	}
	if owner == n {
		return nil, nil
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		owner.local.ServeHTTP(w, r.WithContext(connection.WithForwarded(r.Context())))
		return nil
	}, nil
}

// overTheWire returns what arrives of a handover, without the user.
func overTheWire(t *testing.T, h connection.Handover) (arrived connection.Handover) {
	u := h.User
	h.User = nil
	b, err := json.Marshal(h)
	if err == nil {
		err = json.Unmarshal(b, &arrived)
	}
	if err != nil {
		t.Error(err)
	}
	arrived.User = u
	return arrived
}

func startTown(t *testing.T, o endpoint.Options, names ...string) map[string]*node {
	t.Helper()
	all := &town{t: t, nodes: map[string]*node{}}
	for _, name := range names {
		n := &node{town: all, name: name, moved: map[string]*node{}}
		o.Cluster = n
		o.Authenticator = nil
		if o.TicketLifetime > 0 {
			o.Authenticator = auth.Func(byName)
		}
		n.e = endpoint.NewRaw(echo{}, o)
		server := httptest.NewServer(n.e)
		if o.TicketLifetime == 0 {
			server.Config.Handler = auth.Middleware(auth.Func(byName), n.e)
		}
		n.url = server.URL + "/echo"
		all.nodes[name] = n
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := n.e.Shutdown(ctx); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !n.ended.Load() {
				t.Errorf("%s forwards after its end", name)
			}
			server.Close()
		})
	}
	return all.nodes
}

// ask sends a request with the token to a node, and reads the answer.
func (n *node) ask(method, token, body string, header ...string) (status int, text string) {
	n.town.t.Helper()
	path := "?id=" + token
	if strings.HasPrefix(token, "/") || strings.HasPrefix(token, "?") {
		path = token
	}
	r, err := http.NewRequestWithContext(n.town.t.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.town.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		n.town.t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		n.town.t.Fatal(err)
	}
	return response.StatusCode, string(b)
}

// negotiate returns the token of a connection that is negotiated at the node.
func (n *node) negotiate(header ...string) string {
	n.town.t.Helper()
	status, text := n.ask(http.MethodPost, "/negotiate?negotiateVersion=1&useStatefulReconnect=true", "", header...)
	var offer signalr.Negotiation
	if err := json.Unmarshal([]byte(text), &offer); err != nil || status != http.StatusOK {
		n.town.t.Fatal(status, text, err)
	}
	return offer.ConnectionToken
}

func (n *node) want(status int, text, method, token, body string, header ...string) {
	n.town.t.Helper()
	if got, answer := n.ask(method, token, body, header...); got != status || answer != text {
		n.town.t.Errorf("%s at %s: %d %q, want %d %q", method, n.name, got, answer, status, text)
	}
}

// wantConnections waits until the connections that have moved from here have ended.
func (n *node) wantConnections(want int) {
	n.town.t.Helper()
	got := n.e.Connections()
	for end := time.Now().Add(time.Minute); got > want && time.Now().Before(end); got = n.e.Connections() {
		time.Sleep(time.Millisecond) // nothing wakes this wait
	}
	if got != want {
		n.town.t.Errorf("%d connections at %s, want %d", got, n.name, want)
	}
}

func (n *node) dial(token string, header http.Header) (*websocket.Conn, *http.Response, error) {
	c, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(n.url, "http")+"?id="+token, header)
	if err == nil {
		n.town.t.Cleanup(func() { _ = c.Close() })
	}
	return c, response, err
}
