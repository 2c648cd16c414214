package cluster

import (
	"context"
	"net/http"
	"slices"
	"testing"
)

// A home forgets the owners of connections that have ended, and no others.
func TestHomeForgetsConnectionsThatHaveEnded(t *testing.T) {
	t.Parallel()
	const limit = 8
	s := newSites(t, 3)
	home, owner, gone := s[0], s[1], s[2]
	home.hub.moved = newTable[process](limit)
	var keys []string
	for i := range 6 {
		token := home.promise(nil)
		at := owner
		if i == 5 {
			at = gone
		}
		at.expect(t, "200 "+at.name+" GET", http.MethodGet, token, "")
		keys = append(keys, mustOpen(t, home, token))
	}
	owner.end(keys[0])
	owner.end(keys[1])
	claimed := home.promise(nil)
	keys = append(keys, mustOpen(t, home, claimed))
	home.hub.find(&find{hub: testHub, key: keys[6], claims: true, asking: owner.node.self})
	owner.hub.mu.Lock()
	owner.hub.claims[keys[6]] = &claiming{} // the answer of the home is on its way
	owner.hub.mu.Unlock()
	known := func() (all []string) {
		for _, key := range keys {
			if home.hub.moved.get(key) != (process{}) {
				all = append(all, key)
			}
		}
		return all
	}
	home.hub.sweep(t.Context(), home.hub.moved)
	if got := known(); !slices.Equal(got, keys[2:]) {
		t.Errorf("%v, want %v", got, keys[2:])
	}
	gone.stop()
	again := newSite(t, "C2", listen(t, gone.node.self.address), Options{Secrets: home.secrets, Peers: []string{home.node.self.address}})
	again.node.members.check(t.Context())
	await(t, "the new process", func() bool {
		home.hub.sweep(t.Context(), home.hub.moved)
		return slices.Equal(known(), []string{keys[2], keys[3], keys[4], keys[6]})
	})
	owner.end(keys[2])
	owner.end(keys[3])
	home.hub.sweep(t.Context(), home.hub.moved)
	if got, want := known(), []string{keys[4], keys[6]}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	owner.end(keys[4])
	home.hub.sweep(t.Context(), home.hub.moved)
	if got, want := known(), []string{keys[4], keys[6]}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v: the table was not half full", got, want)
	}
	owner.hub.mu.Lock()
	delete(owner.hub.claims, keys[6])
	owner.hub.mu.Unlock()
}

// An owner that does not answer keeps its entries, and the sweep ends with the node.
func TestSweepOfAnOwnerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := newSites(t, 1)[0]
	l := listen(t, "127.0.0.1:0")
	lost := process{newPID(), l.Addr().String()}
	_ = l.Close()
	s.hub.owners = newTable[process](1)
	s.hub.owners.put(testKey, lost)
	s.hub.sweep(t.Context(), s.hub.owners)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.hub.sweep(ctx, s.hub.owners)
	if s.hub.owners.get(testKey) != lost {
		t.Error("the entry is gone")
	}
}
