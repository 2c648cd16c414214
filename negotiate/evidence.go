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

// EvidenceOptions configure an Evidence. The zero value has the defaults.
type EvidenceOptions struct {
	// MaxNetworks is the largest number of networks that are remembered. A new network
	// replaces the one that was seen longest ago. Default 65,536.
	MaxNetworks int
	// HalfLife is the time after which an observation counts half. After one failure a
	// transport is tried again after this time, after several consecutive failures later.
	// Default 15 min.
	HalfLife time.Duration
}

// Evidence is a Policy that learns which transports work in the networks of the clients, and
// offers each client the working ones first. A network is an IPv4 address or an IPv6 /64
// together with the kind of client, because proxies belong to a browser or a program.
// Observations at one address count for this address only. Safe for concurrent use.
type Evidence struct {
	options EvidenceOptions

	mu     sync.Mutex
	memory memory
	shared bool         // other processes want the news
	queue  []networkKey // of the news; each network in it is queued
	// unanswered are negotiations of the last seconds, for News.
	unanswered []*attempt
}

// NewEvidence returns an Evidence without observations.
func NewEvidence(o EvidenceOptions) *Evidence {
	if o.MaxNetworks == 0 {
		o.MaxNetworks = 1 << 16
	}
	if o.HalfLife == 0 {
		o.HalfLife = 15 * time.Minute
	}
	return &Evidence{options: o, memory: newMemory(o.MaxNetworks)}
}

// Networks returns the number of remembered networks.
func (e *Evidence) Networks() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.memory.len()
}

// fallbackDelay is the time after which a client that negotiates again has certainly given up
// the first transport of its previous negotiation.
const fallbackDelay = 2500 * time.Millisecond

// retryWindow is the time within which a client negotiates again after a failed handshake.
const retryWindow = 3 * time.Second

// Offer implements Policy.
func (e *Evidence) Offer(r *http.Request, o *Offer) {
	key, ok := networkOf(r)
	if !ok {
		return
	}
	w := &attempt{evidence: e, key: key, since: time.Now()}
	o.Observer = w
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.memory.network(key)
	if p := n.oldestWaiting(w.since); p != nil && w.since.Sub(p.since) > fallbackDelay {
		e.unclaimed(n, p, w.since)
	}
	e.goesOn(n, w.since)
	if !o.Fixed {
		e.arrange(n, o, w.since)
		w.probes = key.family.pingsAtOnce() && slices.Contains(o.Transports, transports.LongPolling)
		w.refuses = w.probes && w.since.Sub(n.unseen) < retryWindow
	}
	n.negotiated, n.unseen = w.since, time.Time{}
	if w.since.Sub(n.websockets.failure) < retryWindow { // another process may still probe
		e.announce(n)
	}
	if o.SilenceLimit = n.silence.known(w.since, e.options.HalfLife); o.SilenceLimit > 0 {
		o.addReason("connections are cut after " + o.SilenceLimit.Round(time.Second).String() + " of silence")
	}
	if len(o.Transports) > 0 {
		w.first = o.Transports[0]
	}
	w.partial = len(o.Transports) < len(signalr.Transports())
	e.waits(n, w)
}

// arrange moves transports that have failed in this network to the end, where a client that
// insists on one still finds it. Java's client does not try the next transport after a
// failure, so it is not offered failed transports.
func (e *Evidence) arrange(n *network, o *Offer, now time.Time) {
	var good, bad []transports.Type
	var reasons []string
	for _, kind := range o.Transports {
		t := n.tally(kind)
		if t == nil || !t.shouldAvoid(now, e.options.HalfLife) {
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
	o.addReason(strings.Join(reasons, "; "))
}

// unclaimed counts an offer that no request followed. It counts for known clients only,
// because people and monitors also request offers and do not connect. It counts against
// WebSockets only: a client that insists on WebSockets opens nothing if they fail or are not
// offered, even if another transport is first. If the offer leaves out a transport that a
// client could insist on, one such offer is not enough to avoid WebSockets.
func (e *Evidence) unclaimed(n *network, w *attempt, now time.Time) {
	w.settle()
	if n.key.family == other || w.first != transports.WebSockets {
		return
	}
	weight := 1.0
	if w.partial {
		weight = enough
	}
	e.missed(n, w, weight, now)
}

// missed counts an offer whose first transport did not reach the server. It counts nothing if
// that transport has worked since in the network for another connection.
func (e *Evidence) missed(n *network, w *attempt, weight float64, now time.Time) {
	w.settle()
	if t := n.tally(w.first); t != nil && !t.workedSince(w.since) {
		e.failed(n, w.first, weight, absent, now)
	}
}

// fellBack examines the previous negotiation, because a client negotiates again after a
// transport has failed. If w opens another transport than the one that both offered first,
// and no request followed the previous negotiation, then that first transport does not reach
// the server.
func (e *Evidence) fellBack(n *network, w *attempt, kind transports.Type, now time.Time) {
	if kind == w.first {
		return
	}
	e.gaveUp(n, w.first, w.since, now)
	if e.shared && len(e.queue) < maxNews { // the previous negotiation may be that of another process
		n.gaveUp, n.fellBack, n.negotiated = w.first, w.since, latest(n.negotiated, w.since)
		e.announce(n)
	}
}

// gaveUp counts the previous negotiation after a client has opened another transport than the
// first one, which it had negotiated anew at a time.
func (e *Evidence) gaveUp(n *network, first transports.Type, negotiated, now time.Time) {
	if p := n.oldestWaiting(now); p != nil && p.since.Before(negotiated) && p.first == first {
		e.missed(n, p, 1, now)
	}
}
