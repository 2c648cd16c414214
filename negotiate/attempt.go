package negotiate

import (
	"net/http"
	"strings"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// attempt connects the events of one negotiated connection with its network. evidence.mu
// guards the fields that change after Offer.
type attempt struct {
	evidence *Evidence
	key      networkKey // of the negotiation, until a request comes from another address
	since    time.Time
	first    transports.Type // the transport that was offered first
	partial  bool            // some transports were not offered
	claimed  bool            // a request followed, or its absence was counted
	told     bool            // other processes know that it waits
	// elsewhere: another process has the negotiation. This one only knows that it waits.
	elsewhere bool
	// probes: if the WebSocket handshake arrives stripped, test whether event streams get
	// through. refuses: the previous attempt showed that they do not.
	probes, refuses bool
	// opened: the network counts the connection as open. proved: its transport's tally counts
	// it as live.
	opened, proved bool
}

// Probes implements transports.Guide. Only the JavaScript client is known to accept a
// response head as the answer to a handshake: WebSocket libraries for Go wait for the body,
// too. With TLS a browser uses HTTP/2 for its requests, but not for WebSockets. Then nginx
// strips only the handshake, if it speaks HTTP/1.1 with us.
func (w *attempt) Probes(r *http.Request) bool {
	if strings.HasPrefix(r.Header.Get("Origin"), "https:") && r.Proto != "HTTP/1.0" {
		return false
	}
	w.evidence.mu.Lock()
	defer w.evidence.mu.Unlock()
	defer func() { w.probes = false }() // a connection is probed once
	return w.probes
}

// Refuses implements transports.Guide.
func (w *attempt) Refuses(kind transports.Type) bool {
	return w.refuses && kind == transports.ServerSentEvents
}

// open reports whether a request may still follow.
func (w *attempt) open() bool { return w != nil && !w.claimed }

// Observe implements transports.Observer.
func (w *attempt) Observe(event transports.Event) {
	now, e := time.Now(), w.evidence
	e.mu.Lock()
	defer e.mu.Unlock()
	switch event.Kind {
	case transports.Ended:
		w.end(e.memory.byKey[w.key], event.Transport)
		return
	case transports.Moved:
		w.settle()
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
		news := n.tally(event.Transport).worked(now, e.options.HalfLife)
		if event.Transport == transports.WebSockets && !n.drop.IsZero() {
			n.drop, news = time.Time{}, true
		}
		if news {
			e.announce(n)
		}
		w.prove(n, event.Transport)
	case transports.Cut:
		if n.silence.cut(event.Silence, now, e.options.HalfLife) {
			e.announce(n)
		}
	default:
		w.failed(n, event, now)
	}
}

// failed counts an event against its transport, if the event shows a failure.
func (w *attempt) failed(n *network, event transports.Event, now time.Time) {
	reason := heldBack
	switch event.Kind {
	case transports.Stripped:
		reason = stripped
	case transports.Held:
		if event.Transport == transports.WebSockets {
			w.evidence.dropped(n, w.since, now)
			return
		}
		if w.evidence.crowded(n) {
			return
		}
	case transports.Mute:
		if !w.key.family.pingsAtOnce() || w.evidence.crowded(n) {
			return
		}
	case transports.Unseen:
		if n.negotiated.After(w.since) { // a client has negotiated since, perhaps this one
			return
		}
		n.unseen = now
	}
	w.evidence.failed(n, event.Transport, 1, reason, now)
}

// The reasons of failures.
const (
	stripped   = "handshakes arrive without Upgrade"
	heldBack   = "is held back on the way"
	unanswered = "opens, but nothing arrives"
	absent     = "does not arrive"
)

// failed counts a failure of a transport.
func (e *Evidence) failed(n *network, kind transports.Type, weight float64, reason string, now time.Time) {
	if t := n.tally(kind); t != nil {
		t.failed(weight, reason, now, e.options.HalfLife)
		e.announce(n)
	}
}

// came records that a request for the connection has arrived. The connection counts for the
// network of the address that the request came from, even if another address negotiated.
// After the opening it stays with the network of the request that opened it. came reports
// whether the request belongs to the connection's network.
func (w *attempt) came(r *http.Request) bool {
	w.settle()
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

// prove counts the connection as one that uses its transport successfully.
func (w *attempt) prove(n *network, kind transports.Type) {
	if t := n.tally(kind); t != nil && w.opened && !w.proved {
		t.living++
		w.proved = true
	}
}

// end removes the connection from the counts of n. n is nil if the network was forgotten. A
// network that was forgotten and seen again may not have counted the connection.
func (w *attempt) end(n *network, kind transports.Type) {
	if n != nil && w.opened {
		n.ended(kind)
		if t := n.tally(kind); t != nil && w.proved {
			t.living = max(0, t.living-1)
		}
	}
	w.opened, w.proved = false, false
}
