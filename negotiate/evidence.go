package negotiate

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/signalr"
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
	n.goesOn(w.since, e.options.HalfLife)
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
	w.partial = len(o.Transports) < len(signalr.Transports())
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

// unclaimed counts an offer that no request followed. Such an offer shows something only of
// clients that are known to go on, because people and monitors ask for an offer, too; and only
// of WebSockets: a client that insists on them opens nothing where they fail or are not
// offered, whatever stands first. Where the offer leaves out a transport on which a client
// could insist, one such offer is not enough.
func (e *Evidence) unclaimed(n *network, w *witness, now time.Time) {
	w.claimed = true
	if n.key.family == other || w.first != transports.WebSockets {
		return
	}
	weight := 1.0
	if w.partial {
		weight = enough
	}
	e.missed(n, w, weight, now)
}

// missed counts an offer whose first transport did not arrive. It shows nothing about a
// network in which that transport has worked since for somebody else.
func (e *Evidence) missed(n *network, w *witness, weight float64, now time.Time) {
	w.claimed = true
	if t := n.tally(w.first); t != nil && !t.workedSince(w.since) {
		t.failedBy(weight, "does not arrive", now, e.options.HalfLife)
	}
}

// fellBack looks for the negotiation before: a client negotiates anew when a transport
// has failed. If w opens another transport than the one that both offered first, and
// nothing came of the first negotiation, then that transport does not get here.
func (e *Evidence) fellBack(n *network, w *witness, kind transports.Type, now time.Time) {
	p := n.waiting
	if p.open() && p.since.Before(w.since) && p.first == w.first && kind != w.first {
		e.missed(n, p, 1, now)
	}
}
