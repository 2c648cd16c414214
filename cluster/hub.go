package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/connection"
)

// Hub is one hub of a Node. It seals the tokens of its connections, and finds connections that
// other processes have. It is safe for concurrent use.
type Hub struct {
	node *Node
	name string

	owners *table[process]   // of connections that other processes opened
	absent *table[time.Time] // when all nodes were asked for a connection that none has

	leaving    context.Context // ends with Drain
	leave      context.CancelFunc
	waits      waits   // in this process
	forwardsTo targets // of this process that wait in others

	taught atomic.Bool // another process has sent its table

	mu      sync.Mutex
	local   connection.Local   // nil before Join
	learner connection.Learner // nil: this process learns nothing
	// commands does commands of other processes; nil before Attach.
	commands func(context.Context, hub.Command) (found int, err error)
	survey   func(context.Context, hub.Survey) (hub.Findings, error) // nil before AttachPresence
	moved    *table[process]                                         // the owners of connections that negotiated here; written with mu held
	claims   map[string]*claiming                                    // by key
}

// The limits of a hub's memory about connections of other processes.
const (
	maxOwners = 1 << 16
	maxMoved  = 1 << 17
	maxAbsent = 1 << 12
	absence   = 2 * time.Second // for which absent counts
)

// claiming is a claim that has not ended yet.
type claiming struct {
	done  chan struct{} // closed at the end
	owner process       // another process; zero: this one, or none
	err   error
}

func newHub(n *Node, name string) *Hub {
	h := &Hub{
		node: n, name: name, owners: newTable[process](maxOwners), absent: newTable[time.Time](maxAbsent),
		moved: newTable[process](maxMoved), claims: map[string]*claiming{},
		waits:      waits{byPID: map[pid]map[*context.CancelCauseFunc]struct{}{}, drained: newTable[bool](maxPeers)},
		forwardsTo: targets{counts: map[process]int{}},
	}
	h.leaving, h.leave = context.WithCancel(n.closing)
	return h
}

// Join sets the registry that serves other processes. It is called once, before the first request.
func (h *Hub) Join(local connection.Local) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.local = local
}

// Seal returns the token of a connection for its client. key is the connection's key in its
// registry: 128 random bits in base64url.
func (h *Hub) Seal(key string) (token string) {
	token, _ = h.node.sealer.seal(h.name, key)
	return token
}

// Open returns the key in a token. It reports false if no node has sealed it for this hub.
func (h *Hub) Open(token string) (key string, ok bool) {
	o, ok := h.node.sealer.open(h.name, token)
	return o.key, ok
}

// await waits until no claim for a key runs, and returns the local hub, or nil if ctx ends or
// there is none.
func (h *Hub) await(ctx context.Context, key string) connection.Local {
	h.mu.Lock()
	running, local := h.claims[key], h.local
	h.mu.Unlock()
	if running == nil {
		return local
	}
	select {
	case <-running.done:
		return local
	case <-ctx.Done():
		return nil
	}
}
