package cluster

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
)

// shareInterval is the interval at which a node sends its news to the others.
const shareInterval = time.Second

// tellLimit is the longest time that Tell waits. A client waits for it.
const tellLimit = 500 * time.Millisecond

// learn has the news of a node for another one, which does not pass them on.
type learn struct {
	Hub  string          `json:"hub"`
	News json.RawMessage `json:"news,omitempty"`
	// Asks means that the sender has begun, and asks for the table of the receiver.
	Asks bool `json:"asks,omitempty"`
}

// learned is the answer to learn.
type learned struct {
	Table json.RawMessage `json:"table,omitempty"`
}

// Share sets the knowledge that this process shares with the others. It is called once at most,
// before the first request.
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

// Tell implements connection.Elsewhere.
func (h *Hub) Tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, h.node.tellLimit)
	defer cancel()
	told := make(chan struct{})
	select {
	case h.node.tell <- told:
	case <-ctx.Done():
		return
	}
	select {
	case <-told:
	case <-ctx.Done():
	}
}

// gossip sends the news of this node to the others until ctx ends: at an interval, and for each
// Tell.
func (n *Node) gossip(ctx context.Context) {
	tick := time.NewTicker(shareInterval)
	defer tick.Stop()
	previous := make(chan struct{})
	close(previous)
	for turn := 0; ; turn++ {
		told := make(chan struct{})
		select {
		case <-tick.C:
		case told = <-n.tell:
		case <-ctx.Done():
			return
		}
		n.gossipOnce(ctx, turn, previous, told)
		previous = told
	}
}

// gossipOnce tells all others the news. It closes told when they have answered this time and, as
// the previous one closes, all times before.
func (n *Node) gossipOnce(ctx context.Context, turn int, previous <-chan struct{}, told chan<- struct{}) {
	others := n.members.others(ctx)
	var calls sync.WaitGroup
	for _, h := range n.allHubs() {
		if l := h.getLearner(); l != nil && len(others) > 0 {
			h.gossip(ctx, &calls, l, others, turn%len(others))
		}
	}
	n.running.Go(func() {
		calls.Wait()
		<-previous
		close(told)
	})
}

func (n *Node) allHubs() []*Hub {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Values(n.hubs))
}

// gossip sends the news to all others. Until one of them has sent its table, one is asked for it
// each time.
func (h *Hub) gossip(ctx context.Context, calls *sync.WaitGroup, l connection.Learner, others []process, turn int) {
	news := l.News()
	for i, other := range others {
		message := learn{h.name, news, i == turn && !h.taught.Load()}
		if message.News == nil && !message.Asks {
			continue
		}
		calls.Go(func() {
			var answer learned
			if h.node.call(ctx, other, learnPath, message, &answer) == nil && message.Asks {
				h.taught.Store(true)
				l.Learn(answer.Table)
			}
		})
	}
}

// answerLearn takes the news of a node, and answers with the table if that asks for it.
func (n *Node) answerLearn(message *learn) (any, error) {
	var answer learned
	if l := n.known(message.Hub).getLearner(); l != nil {
		if message.Asks {
			answer.Table = l.Table()
		}
		l.Learn(message.News)
	}
	return answer, nil
}
