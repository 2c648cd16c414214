package negotiate

import (
	"time"

	"github.com/carillon-go/carillon/transports"
)

// undecided are the observations of one process that the next request of the client decides,
// which may come to another process. Numbers are ages.
type undecided struct {
	FellBack *fallBack `json:"fellBack,omitempty"`
	Waiting  *waiting  `json:"waiting,omitempty"`
	// Those of the times in network, if they are not too old.
	Negotiated time.Duration `json:"negotiated,omitempty"`
	Unseen     time.Duration `json:"unseen,omitempty"`
	Dropped    time.Duration `json:"dropped,omitempty"`
	// Settled means that a waiting negotiation has been counted, or that a request followed it.
	Settled bool `json:"settled,omitempty"`
}

// fallBack is a client that has opened another transport than the first one. The process at which
// it had negotiated before may count that as a failure.
type fallBack struct {
	First transports.Type `json:"first"`
	Age   time.Duration   `json:"age"` // of the negotiation that was followed
}

// waiting is a negotiation that no request has followed within fallbackDelay.
type waiting struct {
	First   transports.Type `json:"first"`
	Partial bool            `json:"partial,omitempty"`
	Age     time.Duration   `json:"age"`
}

// waitingLimit is the time for which a process keeps the waiting negotiation of another one. That
// process counts it itself after the disconnect time-out.
const waitingLimit = 15 * time.Second

// takeUndecided returns the undecided observations in a network. It returns a fall-back and a settled
// negotiation once.
func (n *network) takeUndecided(now time.Time) (u undecided) {
	if n.gaveUp != "" {
		u.FellBack = &fallBack{n.gaveUp, now.Sub(n.fellBack)}
	}
	u.Negotiated = age(n.negotiated, now, retryWindow)
	u.Unseen = age(n.unseen, now, retryWindow)
	u.Dropped = age(n.drop, now, dropLimit)
	u.Settled = n.settled
	n.gaveUp, n.settled = "", false
	return u
}

// age returns the age of an observation, which is positive, or 0 if it is too old.
func age(at, now time.Time, limit time.Duration) time.Duration {
	if d := now.Sub(at); d < limit {
		return max(d, 1)
	}
	return 0
}

// takeWaiting returns the verdicts about networks with a negotiation that has waited since the last
// call, at most half of maxNews.
func (e *Evidence) takeWaiting(now time.Time) (all []verdict) {
	for len(e.unanswered) > 0 && len(all) < maxNews/2 {
		w := e.unanswered[0]
		if now.Sub(w.since) <= fallbackDelay {
			break
		}
		e.unanswered[0], e.unanswered = nil, e.unanswered[1:]
		if n := e.memory.byKey[w.key]; n != nil && n.waiting == w && w.open() {
			w.told = true
			v := n.verdict(now, e.options.HalfLife)
			v.Waiting = &waiting{w.first, w.partial, now.Sub(w.since)}
			all = append(all, v)
		}
	}
	return all
}

// oldestWaiting returns the oldest negotiation that no request has followed yet, or nil.
func (n *network) oldestWaiting(now time.Time) *attempt {
	w := n.waiting
	if !w.open() || w.elsewhere && now.Sub(w.since) > waitingLimit {
		return nil
	}
	return w
}

// waits remembers a negotiation until a request follows, if no older one waits.
func (e *Evidence) waits(n *network, w *attempt) {
	if n.oldestWaiting(w.since) != nil {
		return
	}
	n.waiting = w
	if e.shared && w.first == transports.WebSockets && n.key.family != other && len(e.unanswered) < maxQueue {
		e.unanswered = append(e.unanswered, w) // unclaimed counts no others
	}
}

// settle records that a negotiation waits no longer. Processes that know that it waits are told.
func (w *attempt) settle() {
	if w.open() && w.told {
		if n := w.evidence.memory.byKey[w.key]; n != nil {
			n.settled = true
			w.evidence.announce(n)
		}
	}
	w.claimed = true
}

// learnUndecided takes over the undecided observations of another process, after its verdict.
func (e *Evidence) learnUndecided(n *network, u *undecided, now time.Time) {
	if f := u.FellBack; f != nil {
		e.gaveUp(n, f.First, before(now, f.Age), now)
	}
	learnTime(&n.negotiated, u.Negotiated, now)
	learnTime(&n.unseen, u.Unseen, now)
	learnTime(&n.drop, u.Dropped, now)
	if n.negotiated.After(n.unseen) {
		n.unseen = time.Time{}
	}
	if n.websockets.workedSince(n.drop) || n.websockets.failure.After(n.drop) {
		n.drop = time.Time{}
	}
	if u.Settled && n.waiting.open() && n.waiting.told {
		n.waiting.claimed = true
	}
	if o := u.Waiting; o != nil && n.oldestWaiting(now) == nil {
		n.waiting = &attempt{
			evidence: e, key: n.key, since: before(now, o.Age), first: o.First, partial: o.Partial, told: true, elsewhere: true,
		}
	}
}

func learnTime(at *time.Time, age time.Duration, now time.Time) {
	if age > 0 {
		*at = latest(*at, before(now, age))
	}
}
