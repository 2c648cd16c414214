package cluster

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
)

// shareInterval is the interval at which a node tells the others what it has learned.
const shareInterval = time.Second

// learn tells a node what another one has learned. The receiver does not pass it on.
type learn struct {
	Hub  string          `json:"hub"`
	News json.RawMessage `json:"news,omitempty"`
	// Asks means that the sender has begun, and wants to know what the receiver knows.
	Asks bool `json:"asks,omitempty"`
}

// learned is the answer to learn.
type learned struct {
	Table json.RawMessage `json:"table,omitempty"`
}

// Share sets what this process learns together with the others. It is called once at most, before
// the first request.
func (h *Hub) Share(l connection.Learner) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.learner = l
	_ = l.News() // the following calls have news
}

func (h *Hub) getLearner() connection.Learner {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.learner
}

// gossip tells the other nodes what this one has learned until ctx ends.
func (n *Node) gossip(ctx context.Context) {
	tick := time.NewTicker(shareInterval)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		others := n.members.others(ctx)
		for _, h := range n.allHubs() {
			if l := h.getLearner(); l != nil && len(others) > 0 {
				h.gossip(ctx, l, others, turn%len(others))
			}
		}
	}
}

func (n *Node) allHubs() []*Hub {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.hubs))
}

// gossip tells all others the news. Until one of them has told what it knows, one is asked each
// time.
func (h *Hub) gossip(ctx context.Context, l connection.Learner, others []process, turn int) {
	news := l.News()
	for i, other := range others {
		message := learn{h.name, news, i == turn && !h.taught.Load()}
		if message.News == nil && !message.Asks {
			continue
		}
		h.node.running.Go(func() {
			var answer learned
			if h.node.call(ctx, other, learnPath, message, &answer) == nil && message.Asks {
				h.taught.Store(true)
				l.Learn(answer.Table)
			}
		})
	}
}

// answerLearn answers a node that has learned something.
func (n *Node) answerLearn(message *learn) (any, error) {
	var answer learned
	if l := n.Hub(message.Hub).getLearner(); l != nil {
		if message.Asks {
			answer.Table = l.Table()
		}
		l.Learn(message.News)
	}
	return answer, nil
}
