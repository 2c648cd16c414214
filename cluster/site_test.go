package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/testproc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the time limit of everything that must happen.
const patience = time.Minute

// registry is a registry of connections as connection.Local and its users need it.
type registry struct {
	name string
	hub  *Hub

	mu       sync.Mutex
	promised map[string]connection.Handover
	opened   map[string]*conn
	ended    []string         // keys
	full     error            // of Admit
	handle   http.HandlerFunc // serves GETs of open connections instead of the registry
}

// conn is a connection.
type conn struct {
	user *auth.User
	got  strings.Builder
}

func newRegistry(name string, hub *Hub) *registry {
	r := &registry{name: name, hub: hub, promised: map[string]connection.Handover{}, opened: map[string]*conn{}}
	hub.Join(r)
	return r
}

// promise negotiates and returns the token.
func (r *registry) promise(u *auth.User) (token string) {
	var bits [keyLength]byte
	_, _ = rand.Read(bits[:])
	key := tokenText.EncodeToString(bits[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.promised[key] = connection.Handover{ID: "id-" + key, Key: key, User: u, Silence: time.Minute}
	return r.hub.Seal(key)
}

func (r *registry) HandOver(key string, u *auth.User) (connection.Handover, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	given, ok := r.promised[key]
	if !ok || !same(u, given.User) {
		return connection.Handover{}, false
	}
	delete(r.promised, key)
	return given, true
}

func same(a, b *auth.User) bool { return (a == nil) == (b == nil) && (a == nil || a.ID == b.ID) }

func (r *registry) Holds(key string) (here, opened bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, promised := r.promised[key]
	return promised || r.opened[key] != nil, r.opened[key] != nil
}

func (r *registry) End(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = append(r.ended, key)
	delete(r.opened, key)
}

// end ends a connection as its client does.
func (r *registry) end(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.opened, key)
}

// ends returns the keys with which End was called.
func (r *registry) ends() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ended)
}

// claimer is the connection.Claimer of a request.
type claimer struct{ *registry }

func (c claimer) Admit() error { return c.full }

func (c claimer) Adopt(given connection.Handover) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.promised[given.Key] = given
	return nil
}

// front serves clients: it resolves the token and serves or forwards the request.
func (r *registry) front(w http.ResponseWriter, request *http.Request) {
	if name := request.Header.Get("X-User"); name != "" {
		request = request.WithContext(auth.WithUser(request.Context(), &auth.User{ID: name, Claims: map[string]any{"role": "r"}}))
	}
	token := request.URL.Query().Get("id")
	key, ok := r.hub.Open(token)
	if c, status := r.find(key, request); status != http.StatusNotFound || !ok {
		r.serve(w, request, c, status)
		return
	}
	var c connection.Claimer
	if request.Method == http.MethodGet {
		c = claimer{r}
	}
	forward, err := r.hub.Find(request, token, c)
	switch {
	case err != nil:
		w.WriteHeader(http.StatusTooManyRequests)
	case forward == nil:
		r.ServeHTTP(w, request)
	case forward(w, request) != nil:
		w.WriteHeader(http.StatusNotFound)
	}
}

// ServeHTTP serves a request here. GET opens a connection, POST adds to its text.
func (r *registry) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	key, _ := r.hub.Open(request.URL.Query().Get("id"))
	c, status := r.find(key, request)
	r.serve(w, request, c, status)
}

func (r *registry) serve(w http.ResponseWriter, request *http.Request, c *conn, status int) {
	if status != http.StatusOK {
		w.WriteHeader(status)
		return
	}
	if r.handle != nil {
		r.handle(w, request)
		return
	}
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	c.got.Write(body)
	_, _ = fmt.Fprintf(w, "%s %s %s", r.name, request.Method, c.got.String())
}

func (r *registry) find(key string, request *http.Request) (*conn, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	promised, fresh := r.promised[key]
	c := r.opened[key]
	user := promised.User
	if c != nil {
		user = c.user
	}
	switch {
	case !fresh && c == nil:
		return nil, http.StatusNotFound
	case !same(user, auth.UserFrom(request.Context())):
		return nil, http.StatusForbidden
	case fresh && request.Method == http.MethodGet:
		delete(r.promised, key)
		r.opened[key] = &conn{user: user}
	case fresh:
		return nil, http.StatusBadRequest
	case request.Method == http.MethodGet && r.handle == nil:
		return nil, http.StatusConflict
	}
	return r.opened[key], http.StatusOK
}

// site is a node with its registry and a server for clients.
type site struct {
	*registry
	node  *Node
	front *httptest.Server
	stop  func()

	secrets [][]byte
}

// logger writes to the log of a test while it runs.
func logger(t *testing.T) *slog.Logger {
	var mu sync.Mutex
	over := false
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
	})
	return slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			t.Log(strings.TrimSpace(string(b)))
		}
		return len(b), nil
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// listen listens at an address. Port 0 is one that the test may listen on again later.
func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	if address == "127.0.0.1:0" {
		address = testproc.FreeAddress()
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newSites returns nodes of one cluster that know each other.
func newSites(t *testing.T, n int) []*site {
	t.Helper()
	secret := randomSecret()
	var links []net.Listener
	var peers []string
	for range n {
		l := listen(t, "127.0.0.1:0")
		links, peers = append(links, l), append(peers, l.Addr().String())
	}
	var sites []*site
	for i, l := range links {
		sites = append(sites, newSite(t, string(rune('A'+i)), l, Options{Secrets: [][]byte{secret}, Peers: peers}))
	}
	for _, s := range sites {
		s.awaitMembers(t, n-1)
	}
	return sites
}

func newSite(t *testing.T, name string, l net.Listener, o Options) *site {
	t.Helper()
	o.Advertise, o.Logger = l.Addr().String(), logger(t).With("on", name)
	o.dialTimeout, o.askTimeout, o.tellLimit = cmp.Or(o.dialTimeout, patience), cmp.Or(o.askTimeout, patience), cmp.Or(o.tellLimit, patience)
	node, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{registry: newRegistry(name, node.Hub(testHub)), node: node, secrets: o.Secrets}
	s.front = httptest.NewServer(http.HandlerFunc(s.registry.front))
	served := make(chan error, 1)
	go func() { served <- node.Serve(l) }()
	s.stop = sync.OnceFunc(func() {
		s.front.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := node.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

// awaitMembers waits until n other nodes are up.
func (s *site) awaitMembers(t *testing.T, n int) {
	t.Helper()
	await(t, "the members", func() bool {
		up := 0
		for _, m := range s.node.Members() {
			if m.Up {
				up++
			}
		}
		if up != n {
			s.node.members.check(t.Context())
		}
		return up == n
	})
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(5 * time.Millisecond) // nothing wakes this wait
	}
}

// send sends a request of a client to a site and returns status and body.
func (s *site) send(t *testing.T, method, token, body string, header ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.front.URL+"/chat?id="+token, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := s.front.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(got)
}

// expect sends a request and compares the answer.
func (s *site) expect(t *testing.T, want, method, token, body string, header ...string) {
	t.Helper()
	status, got := s.send(t, method, token, body, header...)
	if got = strings.TrimSpace(fmt.Sprintf("%d %s", status, got)); got != want {
		t.Errorf("%s at %s: %q, want %q", method, s.name, got, want)
	}
}
