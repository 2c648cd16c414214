package negotiate

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// EvidenceOptions of an Evidence. The zero value has the defaults.
type EvidenceOptions struct {
	// MaxNetworks is how many networks are remembered at most; the one that was seen
	// longest ago is forgotten for a new one. Default 65,536.
	MaxNetworks int
	// HalfLife is how long it takes until what was seen counts half. After one failure
	// a transport is tried again after that time, after several in a row later. Default
	// 15 min.
	HalfLife time.Duration
}

// Evidence is a Policy that learns how connections fare in the networks that clients
// come from, and offers each what works there first. A network is an IPv4 address or
// an IPv6 /64 together with the kind of client, because proxies are the browser's or
// the program's. What an address shows counts for this address only. Safe for
// concurrent use.
type Evidence struct {
	options EvidenceOptions

	mu     sync.Mutex
	memory memory
}

// NewEvidence returns an Evidence that knows nothing yet.
func NewEvidence(o EvidenceOptions) *Evidence {
	if o.MaxNetworks == 0 {
		o.MaxNetworks = 1 << 16
	}
	if o.HalfLife == 0 {
		o.HalfLife = 15 * time.Minute
	}
	return &Evidence{options: o, memory: newMemory(o.MaxNetworks)}
}

// Networks is how many are remembered.
func (e *Evidence) Networks() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.memory.len()
}

// patience is how long after a negotiation a client that negotiates again has surely
// given up the first transport of the older one.
const patience = 2500 * time.Millisecond

// sequel is how soon a client negotiates anew whose handshake has failed.
const sequel = 3 * time.Second

// Offer implements Policy.
func (e *Evidence) Offer(r *http.Request, o *Offer) {
	key, ok := networkOf(r)
	if !ok {
		return
	}
	w := &witness{evidence: e, key: key, since: time.Now()}
	o.Observer = w
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.memory.network(key)
	if p := n.waiting; p.open() && w.since.Sub(p.since) > patience {
		e.unclaimed(n, p, w.since)
	}
	if !o.Fixed {
		e.arrange(n, o, w.since)
		w.probes = key.family.pingsAtOnce() && slices.Contains(o.Transports, transports.LongPolling)
		w.refuses = w.probes && w.since.Sub(n.unseen) < sequel
	}
	n.negotiated, n.unseen = w.since, time.Time{}
	if o.SilenceLimit = n.silence.known(w.since, e.options.HalfLife); o.SilenceLimit > 0 {
		o.because("connections are cut after " + o.SilenceLimit.Round(time.Second).String() + " of silence")
	}
	if len(o.Transports) > 0 {
		w.first = o.Transports[0]
	}
	if !n.waiting.open() {
		n.waiting = w
	}
}

// arrange puts transports that have failed in this network last, where a client that
// insists on one still finds it. Java's client does not try the next transport when one
// fails, so it is not offered what has failed.
func (e *Evidence) arrange(n *network, o *Offer, now time.Time) {
	var good, bad []transports.Type
	var reasons []string
	for _, kind := range o.Transports {
		t := n.tally(kind)
		if t == nil || !t.against(now, e.options.HalfLife) {
			good = append(good, kind)
			continue
		}
		bad = append(bad, kind)
		reasons = append(reasons, string(kind)+" "+t.reason)
	}
	if len(bad) == 0 || len(good) == 0 {
		return
	}
	if n.key.family != java {
		good = append(good, bad...)
	}
	o.Transports = good
	o.because(strings.Join(reasons, "; "))
}

// unclaimed counts an offer for which nobody came. It tells nothing of clients that are
// not known to go on: people and monitors ask for an offer, too.
func (e *Evidence) unclaimed(n *network, w *witness, now time.Time) {
	if w.claimed = true; n.key.family != other {
		e.missed(n, w, now)
	}
}

// missed counts an offer of which the first transport never got here.
func (e *Evidence) missed(n *network, w *witness, now time.Time) {
	w.claimed = true
	if t := n.tally(w.first); t != nil {
		t.failed("does not arrive", now, e.options.HalfLife)
	}
}

// witness connects what is observed of one connection with its network.
type witness struct {
	evidence *Evidence
	key      networkKey // of the negotiation
	since    time.Time
	first    transports.Type // that was offered
	claimed  bool            // a request came for the connection, or it was counted that none did
	// probes says that it is to be looked whether event streams get through when a
	// handshake does not; refuses, that the negotiation before has shown that they do not.
	probes, refuses bool
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
	if event.Request != nil {
		w.came(event.Request)
	}
	n := e.memory.network(w.key)
	t := n.tally(event.Transport)
	switch event.Kind {
	case transports.Stripped:
		t.failed("handshakes arrive without Upgrade", now, e.options.HalfLife)
	case transports.Opened:
		e.fellBack(n, w, event.Transport, now)
	case transports.Unclaimed:
		if w.open() {
			e.unclaimed(n, w, now)
		}
	case transports.Held:
		t.failed("is held back on the way", now, e.options.HalfLife)
	case transports.Mute:
		if w.key.family.pingsAtOnce() {
			t.failed("is held back on the way", now, e.options.HalfLife)
		}
	case transports.Proved:
		t.worked(now, e.options.HalfLife)
	case transports.Unseen:
		if !n.negotiated.After(w.since) { // else somebody has gone on, perhaps this one
			t.failed("is held back on the way", now, e.options.HalfLife)
			n.unseen = now
		}
	case transports.Cut:
		n.silence.cut(event.Silence, now, e.options.HalfLife)
	}
}

// came notes that a request came for the connection. What it shows is evidence about
// the address that it came from, whoever negotiated.
func (w *witness) came(r *http.Request) {
	w.claimed = true
	if key, ok := networkOf(r); ok {
		w.key.prefix = key.prefix
	}
}

// fellBack looks for the negotiation before: a client negotiates anew when a transport
// has failed. If w opens another transport than the one that both offered first, and
// nothing came of the first negotiation, then that transport does not get here.
func (e *Evidence) fellBack(n *network, w *witness, kind transports.Type, now time.Time) {
	p := n.waiting
	if p.open() && p.since.Before(w.since) && p.first == w.first && kind != w.first {
		e.missed(n, p, now)
	}
}
