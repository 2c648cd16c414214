package cluster

import (
	"errors"
	"sync"
	"time"
)

// The limits of the ends that wait for a process.
const (
	maxEnds     = 1 << 12
	maxEndsSent = 200 // in one message
	endLife     = 5 * time.Minute
	endPause    = time.Second // between attempts
)

// ends are the connections of other processes that have to end, because a message of their
// client was lost on the way: the client got an error for its POST, but the official JavaScript
// client keeps its event stream then. It is safe for concurrent use.
type ends struct {
	mu      sync.Mutex
	waiting map[process]map[ending]time.Time // with the time at which each is dropped
}

// ending is a connection that has to end.
type ending struct {
	Hub string `json:"hub"`
	Key string `json:"key"`
}

// endAt ends a connection at its owner, as soon as that can be reached. It does not wait.
func (n *Node) endAt(owner process, e ending) {
	n.ends.mu.Lock()
	defer n.ends.mu.Unlock()
	waiting := n.ends.waiting[owner]
	if waiting == nil {
		waiting = map[ending]time.Time{}
		n.ends.waiting[owner] = waiting
		n.running.Go(func() { n.deliverEnds(owner) })
	}
	if len(waiting) >= maxEnds {
		n.counts.unended.Add(1)
		return
	}
	waiting[e] = time.Now().Add(endLife)
}

// deliverEnds sends the ends that wait for a process until none does.
func (n *Node) deliverEnds(to process) {
	var sent []ending
	for {
		batch := n.nextEnds(to, sent)
		if len(batch) == 0 {
			return
		}
		var answer struct{}
		err := n.call(n.closing, to, endPath, end{batch}, &answer)
		if sent = batch; err == nil || errors.Is(err, errGone) { // its connections have ended with it
			continue
		}
		sent = nil
		select {
		case <-time.After(endPause):
		case <-n.closing.Done():
			return
		}
	}
}

// nextEnds removes the ends that were sent to a process, drops those that have waited for too
// long, and returns some of the others.
func (n *Node) nextEnds(to process, sent []ending) (batch []ending) {
	n.ends.mu.Lock()
	defer n.ends.mu.Unlock()
	waiting := n.ends.waiting[to]
	for _, e := range sent {
		delete(waiting, e)
	}
	dropped := 0
	for e, until := range waiting {
		switch {
		case time.Now().After(until):
			delete(waiting, e)
			dropped++
		case len(batch) < maxEndsSent:
			batch = append(batch, e)
		}
	}
	if dropped > 0 {
		n.counts.unended.Add(int64(dropped))
		n.log.Warn("connections not ended", "node", to.address, "connections", dropped)
	}
	if len(batch) == 0 {
		delete(n.ends.waiting, to)
	}
	return batch
}

// answerEnd ends connections here soon.
func (n *Node) answerEnd(message *end) (any, error) {
	n.running.Go(func() {
		for _, e := range message.Ends {
			if local := n.known(e.Hub).await(n.closing, e.Key); local != nil {
				local.End(e.Key)
			}
		}
	})
	return struct{}{}, nil
}
