package cluster

import (
	"context"
	"errors"
	"slices"
	"time"
)

// sweepInterval is the interval at which a node looks for tables of owners that are half full.
// maxSwept limits the connections in one question.
const (
	sweepInterval = 10 * time.Second
	maxSwept      = 500
)

// ended asks an owner which of some connections have ended. So is the answer.
type ended struct {
	Hub  string   `json:"hub,omitempty"`
	Keys []string `json:"keys"`
}

// sweepTables forgets the owners of connections that have ended until ctx ends. Such an entry does
// no harm but takes the place of another one, and the owner knows best when a connection has
// ended, so it is asked only when places become scarce.
func (n *Node) sweepTables(ctx context.Context) {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, h := range n.allHubs() {
			h.sweep(ctx, h.moved)
			h.sweep(ctx, h.owners)
		}
	}
}

// sweep asks the owners in a table that is half full for the connections that have ended. An owner
// that does not answer is asked again at the next sweep.
func (h *Hub) sweep(ctx context.Context, t *table[process]) {
	byOwner := map[process][]string{}
	for key, owner := range t.fill() {
		byOwner[owner] = append(byOwner[owner], key)
	}
	for owner, keys := range byOwner {
		for some := range slices.Chunk(keys, maxSwept) {
			var answer ended
			err := h.node.call(ctx, owner, endedPath, ended{h.name, some}, &answer)
			if errors.Is(err, errGone) {
				t.remove(keys...)
			}
			if err != nil {
				break
			}
			t.remove(answer.Keys...)
		}
	}
}

// answerEnded returns the connections that are not here, and that no running claim brings here.
func (n *Node) answerEnded(question *ended) (any, error) {
	h := n.known(question.Hub)
	h.mu.Lock()
	defer h.mu.Unlock()
	return ended{Keys: slices.DeleteFunc(question.Keys, func(key string) bool {
		if h.claims[key] != nil || h.local == nil {
			return true
		}
		here, _ := h.local.Holds(key)
		return here
	})}, nil
}
