package negotiate

import (
	"math"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// memory holds the networks that were seen last.
type memory struct {
	most   int
	byKey  map[networkKey]*network
	newest *network // a ring: its older neighbour is the second newest, its newer one the oldest
}

func newMemory(most int) memory { return memory{most: most, byKey: map[networkKey]*network{}} }

func (m *memory) len() int { return len(m.byKey) }

// network returns what is known of a network, which is the newest from now on.
func (m *memory) network(key networkKey) *network {
	n := m.byKey[key]
	switch {
	case n == m.newest && n != nil:
		return n
	case n != nil:
		n.unlink()
	case len(m.byKey) < m.most:
		n = &network{key: key}
		m.byKey[key] = n
	default:
		n = m.newest.newer // the oldest makes room
		n.unlink()
		if n == m.newest {
			m.newest = nil
		}
		delete(m.byKey, n.key)
		*n = network{key: key}
		m.byKey[key] = n
	}
	m.push(n)
	return n
}

func (m *memory) push(n *network) {
	if m.newest == nil {
		n.older, n.newer = n, n
	} else {
		n.older, n.newer = m.newest, m.newest.newer
		n.older.newer, n.newer.older = n, n
	}
	m.newest = n
}

// network is what is known of one.
type network struct {
	key          networkKey
	older, newer *network
	websockets   tally
	eventStreams tally
	silence      silence
	requests     int // event streams and connections of long polling that are open
	// waiting is the oldest negotiation for which nobody came yet.
	waiting *witness
	// negotiated is when somebody did last, unseen when it was found last that event
	// streams do not begin at the client.
	negotiated, unseen time.Time
	drop               time.Time // when a WebSocket ended last over which no byte came; see dropped
}

func (n *network) unlink() { n.older.newer, n.newer.older = n.newer, n.older }

// tally returns what is known of a transport; nil: nothing speaks against the last
// resort.
func (n *network) tally(kind transports.Type) *tally {
	switch kind {
	case transports.WebSockets:
		return &n.websockets
	case transports.ServerSentEvents:
		return &n.eventStreams
	}
	return nil
}

// tally counts for and against a transport. Both fade.
type tally struct {
	good, bad float64
	at        time.Time
	reason    string    // of the last failure
	proved    time.Time // when the transport worked last
	living    int       // connections that have proved the transport and are still there
}

const (
	// enough is what must speak against a transport, beyond what speaks for it. One
	// failure is enough where nothing is known, and has faded to that after one half-life.
	enough = 0.5
	// A transport that has worked for many is not given up for one who failed, nor one that
	// always failed tried more seldom than every third half-life.
	mostGood, mostBad = 8, 4
)

func (t *tally) fade(now time.Time, halfLife time.Duration) {
	if !t.at.IsZero() {
		left := math.Exp2(-float64(now.Sub(t.at)) / float64(halfLife))
		t.good, t.bad = t.good*left, t.bad*left
	}
	t.at = now
}

func (t *tally) failed(reason string, now time.Time, halfLife time.Duration) {
	t.failedBy(1, reason, now, halfLife)
}

func (t *tally) failedBy(weight float64, reason string, now time.Time, halfLife time.Duration) {
	if t == nil {
		return
	}
	t.fade(now, halfLife)
	t.bad = min(t.bad+weight, mostBad)
	t.reason = reason
}

func (t *tally) worked(now time.Time, halfLife time.Duration) {
	if t == nil {
		return
	}
	t.fade(now, halfLife)
	t.good = min(t.good+1, mostGood)
	t.bad /= 2
	t.proved = now
}

// workedSince reports whether a connection used the transport at or after a time.
func (t *tally) workedSince(since time.Time) bool { return t.living > 0 || t.proved.After(since) }

// against tells whether the transport should not be tried first. A connection that uses it
// now counts as one that has just proved it, however long ago it did.
func (t *tally) against(now time.Time, halfLife time.Duration) bool {
	t.fade(now, halfLife)
	return t.bad > max(t.good, float64(min(t.living, mostGood)))+enough
}
