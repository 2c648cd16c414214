// Package backplane has backplanes for hubs: see [hub.Backplane].
package backplane

import (
	"context"
	"slices"
	"sync"

	"github.com/carillon-go/carillon/hub"
)

// Memory joins the hubs of one process, for tests. The zero value joins none. It delivers
// messages before Send returns, and only to hubs that have joined the audience, as a broker
// does. It is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	nodes []*node
}

// Node returns the backplane of one more hub.
func (m *Memory) Node() hub.Backplane { return &node{memory: m, members: make(map[topic]int)} }

// topic is an audience with one name.
type topic struct {
	kind hub.AudienceKind
	name string
}

// node is the backplane of one hub.
type node struct {
	memory *Memory
	local  hub.Local

	mu      sync.Mutex
	members map[topic]int // by topic, those that the hub has announced
}

// Attach implements hub.Backplane.
func (n *node) Attach(local hub.Local) {
	n.local = local
	n.memory.mu.Lock()
	defer n.memory.mu.Unlock()
	n.memory.nodes = append(n.memory.nodes, n)
}

// all returns the nodes of all hubs.
func (n *node) all() []*node {
	n.memory.mu.Lock()
	defer n.memory.mu.Unlock()
	return slices.Clone(n.memory.nodes)
}

// Join implements hub.Backplane.
func (n *node) Join(_ context.Context, to ...hub.Audience) error {
	n.add(1, to)
	return nil
}

// Leave implements hub.Backplane.
func (n *node) Leave(to ...hub.Audience) { n.add(-1, to) }

func (n *node) add(members int, to []hub.Audience) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range to {
		for _, name := range a.Names {
			t := topic{a.Kind, name}
			if n.members[t] += members; n.members[t] == 0 {
				delete(n.members, t)
			}
		}
	}
}

// joined returns the part of an audience that the hub has joined. It reports whether there is
// any.
func (n *node) joined(to hub.Audience) (part hub.Audience, some bool) {
	if to.Kind == hub.Everyone {
		return to, true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	part = to
	part.Names = nil
	for _, name := range to.Names {
		if n.members[topic{to.Kind, name}] > 0 {
			part.Names = append(part.Names, name)
		}
	}
	return part, len(part.Names) > 0
}

// Send implements hub.Backplane. It returns the first error of a hub after all have the
// message.
func (n *node) Send(_ context.Context, to hub.Audience, m hub.Message) (err error) {
	for _, other := range n.all() {
		part, some := other.joined(to)
		if !some {
			continue
		}
		if failed := other.local.Deliver(part, m); err == nil {
			err = failed
		}
	}
	return err
}

// Ask implements hub.Backplane.
func (n *node) Ask(ctx context.Context, connectionID string, m hub.Message) (hub.Answer, error) {
	for _, other := range n.all() {
		if _, some := other.joined(hub.Audience{Kind: hub.ToConnections, Names: []string{connectionID}}); some {
			return other.local.Ask(ctx, connectionID, m)
		}
	}
	return hub.Answer{}, hub.ErrNoConnection
}

// Command implements hub.Backplane.
func (n *node) Command(ctx context.Context, c hub.Command) error {
	for _, other := range n.all() {
		if other == n {
			continue
		}
		if found, err := other.local.Command(ctx, c); found || err != nil {
			return err
		}
	}
	return nil
}
