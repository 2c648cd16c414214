package negotiate

import (
	"net/http"
	"strings"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// witness connects what is observed of one connection with its network.
type witness struct {
	evidence *Evidence
	key      networkKey // of the negotiation
	since    time.Time
	first    transports.Type // that was offered
	partial  bool            // not every transport was offered
	claimed  bool            // a request came for the connection, or it was counted that none did
	// probes says that it is to be looked whether event streams get through when a
	// handshake does not; refuses, that the negotiation before has shown that they do not.
	probes, refuses bool
	// opened and proved say that the network counts the connection among those that are open,
	// and among those that use their transport.
	opened, proved bool
}

// Probes implements transports.Guide. Only the JavaScript client is known to take a head
// for an answer: Go's libraries for WebSockets wait for a body as well. A browser speaks
// HTTP/2 where there is TLS, but not for WebSockets. Then nginx holds back only the one, if
// it speaks HTTP/1.1 with us.
func (w *witness) Probes(r *http.Request) bool {
	if strings.HasPrefix(r.Header.Get("Origin"), "https:") && r.ProtoAtLeast(1, 1) {
		return false
	}
	w.evidence.mu.Lock()
	defer w.evidence.mu.Unlock()
	defer func() { w.probes = false }() // once
	return w.probes
}

// Refuses implements transports.Guide.
func (w *witness) Refuses(kind transports.Type) bool {
	return w.refuses && kind == transports.ServerSentEvents
}

// open tells whether a request may still come.
func (w *witness) open() bool { return w != nil && !w.claimed }

// Observe implements transports.Observer.
func (w *witness) Observe(event transports.Event) {
	now, e := time.Now(), w.evidence
	e.mu.Lock()
	defer e.mu.Unlock()
	if event.Kind == transports.Ended {
		w.end(e.memory.byKey[w.key], event.Transport)
		return
	}
	if event.Request != nil && !w.came(event.Request) {
		return
	}
	n := e.memory.network(w.key)
	switch event.Kind {
	case transports.Opened:
		e.fellBack(n, w, event.Transport, now)
		w.opened = true
		n.opened(event.Transport)
	case transports.Unclaimed:
		if w.open() {
			e.unclaimed(n, w, now)
		}
	case transports.Proved:
		n.tally(event.Transport).worked(now, e.options.HalfLife)
		if event.Transport == transports.WebSockets {
			n.drop = time.Time{}
		}
		w.prove(n, event.Transport)
	case transports.Cut:
		n.silence.cut(event.Silence, now, e.options.HalfLife)
	default:
		w.failed(n, event, now)
	}
}

// failed notes what an event shows against its transport.
func (w *witness) failed(n *network, event transports.Event, now time.Time) {
	reason := heldBack
	switch event.Kind {
	case transports.Stripped:
		reason = "handshakes arrive without Upgrade"
	case transports.Held:
		if event.Transport == transports.WebSockets {
			n.dropped(w.since, now, w.evidence.options.HalfLife)
			return
		}
		if n.crowded() {
			return
		}
	case transports.Mute:
		if !w.key.family.pingsAtOnce() || n.crowded() {
			return
		}
	case transports.Unseen:
		if n.negotiated.After(w.since) { // somebody has gone on, perhaps this one
			return
		}
		n.unseen = now
	}
	n.tally(event.Transport).failed(reason, now, w.evidence.options.HalfLife)
}

const heldBack = "is held back on the way"

// came notes that a request came for the connection. What it shows is evidence about
// the address that it came from, whoever negotiated. It reports whether that is the one that
// the connection counts for: it stays that of the request that opened it.
func (w *witness) came(r *http.Request) bool {
	w.claimed = true
	key, ok := networkOf(r)
	if !ok || key.prefix == w.key.prefix {
		return true
	}
	if w.opened {
		return false
	}
	w.key.prefix = key.prefix
	return true
}

// prove counts the connection among those that use their transport now.
func (w *witness) prove(n *network, kind transports.Type) {
	if t := n.tally(kind); t != nil && w.opened && !w.proved {
		t.living++
		w.proved = true
	}
}

// end takes the connection out of the counts of n, which is nil if it was forgotten. One that
// was forgotten and has come back may not have counted it.
func (w *witness) end(n *network, kind transports.Type) {
	if n != nil && w.opened {
		n.ended(kind)
		if t := n.tally(kind); t != nil && w.proved {
			t.living = max(0, t.living-1)
		}
	}
	w.opened, w.proved = false, false
}
