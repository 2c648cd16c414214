package negotiate

import (
	"math"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// memory holds the networks that were seen most recently.
type memory struct {
	most   int
	byKey  map[networkKey]*network
	newest *network // a ring: newest.older is the second newest, newest.newer the oldest
}

func newMemory(most int) memory { return memory{most: most, byKey: map[networkKey]*network{}} }

func (m *memory) len() int { return len(m.byKey) }

// network returns the entry of a network and makes it the newest.
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
		n = m.newest.newer // the oldest entry is reused
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

// network holds the observations of one network.
type network struct {
	key          networkKey
	older, newer *network
	websockets   tally
	eventStreams tally
	silence      silence
	requests     int // open event streams and long-polling connections
	// waiting is the oldest negotiation that no request has followed yet.
	waiting *attempt
	// negotiated is the time of the last negotiation. unseen is the time at which a probe
	// showed last that event streams do not reach the client; a negotiation clears it.
	negotiated, unseen time.Time
	drop               time.Time // the last end of a WebSocket without a received byte; see dropped
	queued             bool      // the verdict is in Evidence.queue
	settled            bool      // News tells other processes once that waiting waits no longer
	// gaveUp is a first transport that a client did not open, which had negotiated at the time
	// fellBack. News tells other processes once.
	gaveUp   transports.Type
	fellBack time.Time
}

func (n *network) unlink() { n.older.newer, n.newer.older = n.newer, n.older }

// tally returns the tally of a transport. It returns nil for long polling, which is the last
// resort and is never avoided.
func (n *network) tally(kind transports.Type) *tally {
	switch kind {
	case transports.WebSockets:
		return &n.websockets
	case transports.ServerSentEvents:
		return &n.eventStreams
	}
	return nil
}

// tally counts successes and failures of a transport. Both decay over time.
type tally struct {
	good, bad float64
	at        time.Time
	reason    string    // why the last failure was counted
	proved    time.Time // the last success, in any process
	failure   time.Time // the last failure, in any process
	living    int       // open connections that have used the transport successfully
}

const (
	// enough is the excess of failures over successes above which a transport is avoided. One
	// failure suffices if nothing else is known, and has decayed to this value after one
	// half-life.
	enough = 0.5
	// The limits of both counts. mostGood lets many successes outweigh one failure. mostBad
	// lets a transport that always failed be tried every third half-life.
	mostGood, mostBad = 8, 4
	// negligible failures are no news if the transport works.
	negligible = enough / 4
)

func (t *tally) fade(now time.Time, halfLife time.Duration) {
	if !t.at.IsZero() {
		left := math.Exp2(-float64(now.Sub(t.at)) / float64(halfLife))
		t.good, t.bad = t.good*left, t.bad*left
	}
	t.at = now
}

func (t *tally) failed(weight float64, reason string, now time.Time, halfLife time.Duration) {
	t.fade(now, halfLife)
	t.bad = min(t.bad+weight, mostBad)
	t.reason, t.failure = reason, now
}

// worked counts a success. It reports whether failures are known.
func (t *tally) worked(now time.Time, halfLife time.Duration) (refutes bool) {
	if t == nil {
		return false
	}
	t.fade(now, halfLife)
	refutes = t.bad > negligible
	t.good = min(t.good+1, mostGood)
	t.bad /= 2
	t.proved = now
	return refutes
}

// workedSince reports whether a connection has used the transport successfully since a time,
// or is using it now.
func (t *tally) workedSince(since time.Time) bool { return t.living > 0 || t.proved.After(since) }

// shouldAvoid reports whether the transport should not be tried first. A connection that is
// using it counts as a recent success, however old its proof is.
func (t *tally) shouldAvoid(now time.Time, halfLife time.Duration) bool {
	t.fade(now, halfLife)
	return t.bad > max(t.good, float64(min(t.living, mostGood)))+enough
}
