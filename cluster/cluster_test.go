package cluster

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
)

// A node that ends before it serves has ended in order.
func TestServeAfterShutdown(t *testing.T) {
	t.Parallel()
	s := newSites(t, 1)[0]
	s.stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.node.Serve(l); err != nil {
		t.Error(err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener was open: %v", err)
	}
}

func TestConnectionLivesWhereItsFirstRequestArrives(t *testing.T) {
	t.Parallel()
	s := newSites(t, 3)
	home, owner, other := s[0], s[1], s[2]
	token := home.promise(nil)
	owner.expect(t, "200 B GET", http.MethodGet, token, "")
	owner.expect(t, "200 B POST 1", http.MethodPost, token, "1")
	other.expect(t, "200 B POST 12", http.MethodPost, token, "2")
	other.expect(t, "200 B POST 123", http.MethodPost, token, "3")
	home.expect(t, "200 B POST 1234", http.MethodPost, token, "4")
	other.expect(t, "409", http.MethodGet, token, "")
	if got, want := owner.node.Stats(), (Stats{Claimed: 1, Served: 4}); got != want {
		t.Errorf("owner: %+v, want %+v", got, want)
	}
	if got, want := home.node.Stats(), (Stats{HandedOver: 1, Forwarded: 1}); got != want {
		t.Errorf("home: %+v, want %+v", got, want)
	}
	if got, want := other.node.Stats(), (Stats{Forwarded: 3}); got != want {
		t.Errorf("other: %+v, want %+v", got, want)
	}
}

func TestConnectionThatOpensAtHomeStaysThere(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	token := s[0].promise(nil)
	s[1].expect(t, "400", http.MethodPost, token, "too early")
	s[0].expect(t, "200 A GET", http.MethodGet, token, "")
	s[1].expect(t, "200 A POST x", http.MethodPost, token, "x")
	s[1].expect(t, "409", http.MethodGet, token, "")
}

// A request that is too early does not keep others from claiming.
func TestEarlyPostLeavesTheNegotiation(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	token := s[0].promise(nil)
	s[1].expect(t, "400", http.MethodPost, token, "x")
	s[1].expect(t, "200 B GET", http.MethodGet, token, "")
}

func TestRacingClaimsGiveOneConnection(t *testing.T) {
	t.Parallel()
	s := newSites(t, 3)
	for range 50 {
		token := s[0].promise(nil)
		var mu sync.Mutex
		counts := map[int]int{}
		var racing sync.WaitGroup
		for i := range 6 {
			racing.Go(func() {
				status, _ := s[i%3].send(t, http.MethodGet, token, "")
				mu.Lock()
				defer mu.Unlock()
				counts[status]++
			})
		}
		racing.Wait()
		if counts[http.StatusOK] != 1 || counts[http.StatusConflict] != 5 {
			t.Fatalf("%v", counts)
		}
	}
	for _, s := range s {
		if len(s.hub.claims) != 0 || len(s.promised) != 0 {
			t.Errorf("%s: %d claims, %d negotiations left", s.name, len(s.hub.claims), len(s.promised))
		}
	}
}

func TestAnotherUserCannotTakeANegotiation(t *testing.T) {
	t.Parallel()
	s := newSites(t, 3)
	token := s[0].promise(&auth.User{ID: "ann"})
	s[1].expect(t, "403", http.MethodGet, token, "", "X-User", "bob")
	s[1].expect(t, "403", http.MethodGet, token, "")
	s[1].expect(t, "200 B GET", http.MethodGet, token, "", "X-User", "ann")
	s[2].expect(t, "403", http.MethodPost, token, "x", "X-User", "bob")
	s[2].expect(t, "200 B POST y", http.MethodPost, token, "y", "X-User", "ann")
}

func TestFullNodeLeavesTheNegotiation(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	token := s[0].promise(nil)
	s[1].full = errors.New("full")
	s[1].expect(t, "429", http.MethodGet, token, "")
	s[0].expect(t, "200 A GET", http.MethodGet, token, "")
	s[1].expect(t, "409", http.MethodGet, token, "") // no new connection
}

// A node that shuts down refuses nothing: the home opens the connection.
func TestDrainedNodeForwardsTheFirstRequest(t *testing.T) {
	t.Parallel()
	s := newSites(t, 3)
	token := s[0].promise(nil)
	s[1].full = connection.ErrStopped
	s[1].hub.Drain()
	s[1].expect(t, "200 A GET", http.MethodGet, token, "")
	s[2].expect(t, "200 A POST x", http.MethodPost, token, "x")
}

func TestOwnerIsFoundWithoutTheHome(t *testing.T) {
	t.Parallel()
	s := newSites(t, 4)
	home, owner, other, last := s[0], s[1], s[2], s[3]
	token, unclaimed := home.promise(nil), home.promise(nil)
	owner.expect(t, "200 B GET", http.MethodGet, token, "")
	home.stop()
	other.expect(t, "200 B POST x", http.MethodPost, token, "x")
	last.expect(t, "200 B POST xy", http.MethodPost, token, "y")
	begun := time.Now()
	other.expect(t, "404", http.MethodGet, unclaimed, "")
	other.expect(t, "404", http.MethodPost, unclaimed, "")
	most := 2 + int(time.Since(begun)/absence)
	owner.stop()
	other.expect(t, "404", http.MethodPost, token, "z")
	if got := other.node.Stats(); got.Asked < 2 || got.Asked > most || got.Unreachable != 1 {
		t.Errorf("%+v", got)
	}
}

// hanging is a registry that does not answer other nodes.
type hanging struct {
	*registry
	released chan struct{}
}

func (h hanging) Holds(key string) (here, opened bool) {
	<-h.released
	return h.registry.Holds(key)
}

// A home that hangs does not delay the requests of a connection that another node has opened.
func TestOwnerIsFoundWhileTheHomeHangs(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	home, owner := s[0], s[1]
	other := newSite(t, "C", listen(t, "127.0.0.1:0"), Options{
		Secrets: home.secrets, Peers: []string{home.node.self.address, owner.node.self.address}, askTimeout: time.Hour,
	})
	other.awaitMembers(t, 2)
	token := home.promise(nil)
	owner.expect(t, "200 B GET", http.MethodGet, token, "")
	released := make(chan struct{})
	defer close(released)
	home.hub.Join(hanging{home.registry, released})
	other.expect(t, "200 B POST x", http.MethodPost, token, "x")
	other.expect(t, "409", http.MethodGet, token, "")
}

// Another process at the address of a lost one answers for nothing of it.
func TestReusedAddress(t *testing.T) {
	t.Parallel()
	s := newSites(t, 3)
	home, owner, other := s[0], s[1], s[2]
	token := home.promise(nil)
	owner.expect(t, "200 B GET", http.MethodGet, token, "")
	other.expect(t, "200 B POST x", http.MethodPost, token, "x")
	home.stop()
	again := newSite(t, "A2", listen(t, home.node.self.address), Options{Secrets: home.secrets, Peers: []string{owner.node.self.address, other.node.self.address}})
	again.expect(t, "200 B POST xy", http.MethodPost, token, "y")
	other.awaitMembers(t, 2)
	other.hub.owners.remove(mustOpen(t, other, token))
	other.expect(t, "200 B POST xyz", http.MethodPost, token, "z")
}

func mustOpen(t *testing.T, s *site, token string) string {
	t.Helper()
	key, ok := s.hub.Open(token)
	if !ok {
		t.Fatal("the token does not open")
	}
	return key
}

func TestMadeUpTokensAskNobody(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	foreign := newTestSealer(t, s[0].node.self.address, randomSecret())
	other := sealed(t, s[0].node.sealer, "/other", testKey)
	for _, token := range []string{testKey, sealed(t, foreign, testHub, testKey), other, strings.Repeat("A", 80)} {
		for range 100 {
			s[1].expect(t, "404", http.MethodGet, token, "")
		}
	}
	if got := s[1].node.Stats(); got != (Stats{}) {
		t.Errorf("%+v", got)
	}
}
