package cluster

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// A question about a hub that is not in this process is answered, and keeps nothing here.
func TestQuestionsAboutUnknownHubs(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	key := tokenText.EncodeToString(make([]byte, keyLength))
	for i := range 3 {
		name := fmt.Sprint("/unknown", i)
		for path, question := range map[string]any{
			findPath:    &find{hub: name, key: key, claims: true, asking: s[0].node.self},
			drainPath:   drain{name, s[0].node.self.place()},
			endPath:     end{[]ending{{name, key}}},
			endedPath:   ended{name, []string{key}},
			learnPath:   learn{Hub: name},
			commandPath: command{Hub: name, Action: hub.EndConnections, Kind: hub.ToConnections},
		} {
			var answer any = &struct{}{}
			if path == findPath {
				answer = &found{}
			}
			if err := s[0].node.call(t.Context(), s[1].node.self, path, question, answer); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		forward := s[0].node.Hub(name).forward(key, s[1].node.self)
		if err := forward(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/chat", nil)); err == nil {
			t.Error("forwarded")
		}
	}
	if got := len(s[1].node.allHubs()); got != 1 {
		t.Errorf("%d hubs", got)
	}
}

// A request that looks for a connection ends with the node, also before the node knows the others.
func TestShutdownEndsFind(t *testing.T) {
	t.Parallel()
	secret := randomSecret()
	node, err := New(Options{Secrets: [][]byte{secret}, Advertise: "127.0.0.1:1", Logger: logger(t)}) // without Serve
	if err != nil {
		t.Fatal(err)
	}
	r := newRegistry("A", node.Hub(testHub))
	lost := sealed(t, newTestSealer(t, "127.0.0.1:2", secret), testHub, testKey)
	done := make(chan error, 1)
	go func() {
		_, err := r.hub.Find(httptest.NewRequest(http.MethodGet, "/chat", nil), lost, claimer{r})
		done <- err
	}()
	await(t, "the question to all", func() bool { return node.Stats().Asked == 1 })
	if err := node.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("Find waits on")
	}
}

// A peer that was forgotten makes no network connection, which nothing would close.
func TestForgottenPeer(t *testing.T) {
	t.Parallel()
	p := &peers{dialer: &dialer{}, all: map[string]*peer{}}
	forgotten := p.to("a:1")
	for i := range maxPeers {
		p.to(fmt.Sprint("b:", 1+i))
	}
	if len(p.all) > 1 {
		t.Fatalf("%d peers", len(p.all))
	}
	if _, dial, err := forgotten.open(); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("%v, %v", dial, err)
	}
}
