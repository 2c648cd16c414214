//go:build linux

package cluster_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/integration/soak"
)

// turns is a balancer that sends each request to the next node that is not down. It knows where
// the connection of each client is, and so which clients a fault hits.
type turns struct {
	*httptest.Server
	proxies []*httputil.ReverseProxy

	mu     sync.Mutex
	next   int
	down   [nodeCount]bool
	fault  *blow             // nil: none
	routes map[string]*route // by client
}

// route is where the connection of a client is.
type route struct {
	home, owner int            // none: -1
	claimed     bool           // the owner has answered
	running     [nodeCount]int // requests that it serves, or passes on
	hit         bool
}

// needs reports whether the connection, or its negotiation, is at a node.
func (l *route) needs(node int) bool { return l.owner == node || !l.claimed && l.home == node }

func newTurns(t *testing.T, n *nodes) *turns {
	b := &turns{routes: map[string]*route{}}
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	for _, address := range n.addresses {
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
		proxy.Transport, proxy.FlushInterval, proxy.ModifyResponse = transport, -1, b.answered
		proxy.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		b.proxies = append(b.proxies, proxy)
	}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to, end := b.choose(r)
		defer end()
		b.proxies[to].ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		b.CloseClientConnections()
		b.Close()
		transport.CloseIdleConnections()
	})
	return b
}

// choose returns the node of a request. end has to follow.
func (b *turns) choose(r *http.Request) (to int, end func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.next = (b.next + 1) % nodeCount; b.down[b.next]; b.next = (b.next + 1) % nodeCount {
	}
	to = b.next
	who := r.Header.Get(soak.UserHeader)
	l := b.routes[who]
	if l == nil {
		l = &route{home: -1, owner: -1}
		b.routes[who] = l
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/negotiate"):
		l.home, l.owner, l.claimed = to, -1, false
	case r.Method == http.MethodGet && l.owner < 0:
		l.owner = to
	}
	l.running[to]++
	l.hit = l.hit || b.fault != nil && b.fault.hits(l, to)
	return to, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		l.running[to]--
	}
}

// answered notes that a node has opened a connection.
func (b *turns) answered(response *http.Response) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l := b.routes[response.Request.Header.Get(soak.UserHeader)]; l != nil && l.owner >= 0 {
		l.claimed = true
	}
	return nil
}

func (b *turns) setDown(node int, down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down[node] = down
}

// strike begins a fault, and ends the one before.
func (b *turns) strike(f *blow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault = f; f == nil {
		return
	}
	for _, l := range b.routes {
		l.hit = l.hit || f.hits(l, -1)
		for at, requests := range l.running {
			l.hit = l.hit || requests > 0 && f.hits(l, at)
		}
	}
}

// forget forgets a client that has gone, and returns its route.
func (b *turns) forget(who string) route {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.routes[who]
	delete(b.routes, who)
	return *l
}
