package negotiate

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"
)

// The limits of the news between processes. News is called once a second.
const (
	maxNews  = 256  // networks that News returns
	maxQueue = 4096 // networks that wait for News; the verdicts of others are not shared
	maxTable = 2048 // networks that Table returns and that Learn reads
)

// EvidenceOf returns the Evidence that a policy is, or the first among Policies. It returns nil
// if there is none.
func EvidenceOf(p Policy) *Evidence {
	switch p := p.(type) {
	case *Evidence:
		return p
	case Policies:
		for _, one := range p {
			if e := EvidenceOf(one); e != nil {
				return e
			}
		}
	}
	return nil
}

// News returns the verdicts about networks that have changed by observations of this process
// since the last call, for Learn in other processes, or nil. The first call returns nil: until
// then no process listens, and nothing is kept for News. Verdicts contain addresses of clients.
func (e *Evidence) News() json.RawMessage { return encodeVerdicts(e.takeNews()) }

func (e *Evidence) takeNews() (all []verdict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shared = true
	now := time.Now()
	all = e.takeWaiting(now)
	some := min(len(e.queue), maxNews-len(all))
	for _, key := range e.queue[:some] {
		if n := e.memory.byKey[key]; n != nil && n.queued {
			n.queued = false
			v := n.verdict(now, e.options.HalfLife)
			v.undecided = n.takeUndecided(now)
			all = append(all, v)
		}
	}
	e.queue = slices.Delete(e.queue, 0, some)
	return all
}

// Table returns the verdicts about the networks with failures that were seen most recently, also
// those that other processes have told, for Learn in a process that has begun. It returns nil if
// there are none.
func (e *Evidence) Table() json.RawMessage { return encodeVerdicts(e.table()) }

func (e *Evidence) table() (all []verdict) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now, n := time.Now(), e.memory.newest
	for range e.memory.len() {
		if n.isBad(now, e.options.HalfLife) {
			all = append(all, n.verdict(now, e.options.HalfLife))
		}
		if n = n.older; len(all) == maxTable {
			break
		}
	}
	return all
}

// Learn takes over verdicts that News or Table of another process has returned. They count as
// observations of this process do, but they are no news here. Learn ignores verdicts that are not
// valid.
func (e *Evidence) Learn(verdicts json.RawMessage) {
	var all []verdict
	if json.Unmarshal(verdicts, &all) != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for _, v := range all[:min(len(all), maxTable)] {
		e.learn(&v, now)
	}
}

// learn takes over one verdict. Connections of this process may refute it: that is news. A
// network or a kind of client that does not exist has no clients, so its verdict has no effect.
func (e *Evidence) learn(v *verdict, now time.Time) {
	n := e.memory.network(networkKey{v.Network, v.Client})
	refutes := n.websockets.learn(v.WebSockets, now, e.options.HalfLife)
	if n.eventStreams.learn(v.EventStreams, now, e.options.HalfLife) || refutes {
		e.announce(n)
	}
	e.learnUndecided(n, &v.undecided, now)
	if s := v.Silence; s != nil {
		n.silence.learn(silence{s.Limit, s.Seen, before(now, s.Age)}, now, e.options.HalfLife)
	}
}

// announce makes the verdict about a network news, if other processes listen.
func (e *Evidence) announce(n *network) {
	if e.shared && !n.queued && len(e.queue) < maxQueue {
		n.queued = true
		e.queue = append(e.queue, n.key)
	}
}

// verdict is the knowledge of one process about a network. Numbers are as of now: old
// observations have decayed. Ages tell which of two verdicts is newer without a common clock.
type verdict struct {
	Network      netip.Addr    `json:"network"`
	Client       family        `json:"client"`
	WebSockets   *record       `json:"websockets,omitempty"`
	EventStreams *record       `json:"eventStreams,omitempty"`
	Silence      *silenceLimit `json:"silence,omitempty"`
	undecided
}

// record is a tally, without the connections that are open.
type record struct {
	Good   float64       `json:"good"`
	Bad    float64       `json:"bad"`
	Failed bool          `json:"failed,omitempty"` // the last observation was a failure
	Reason string        `json:"reason,omitempty"`
	Age    time.Duration `json:"age"` // of the last observation
}

// silenceLimit is a silence.
type silenceLimit struct {
	Limit time.Duration `json:"limit"`
	Seen  int           `json:"seen"`
	Age   time.Duration `json:"age"`
}

func encodeVerdicts(all []verdict) json.RawMessage {
	if len(all) == 0 {
		return nil
	}
	b, err := json.Marshal(all)
	if err != nil { // cannot happen: addresses, strings and finite numbers always marshal
		return nil
	}
	return b
}

// isBad reports whether failures are known that have not decayed.
func (n *network) isBad(now time.Time, halfLife time.Duration) bool {
	n.websockets.fade(now, halfLife)
	n.eventStreams.fade(now, halfLife)
	return max(n.websockets.bad, n.eventStreams.bad) > negligible || n.silence.known(now, halfLife) > 0
}

func (n *network) verdict(now time.Time, halfLife time.Duration) verdict {
	v := verdict{
		Network: n.key.prefix, Client: n.key.family,
		WebSockets: n.websockets.record(now, halfLife), EventStreams: n.eventStreams.record(now, halfLife),
	}
	if limit := n.silence.known(now, halfLife); limit > 0 {
		v.Silence = &silenceLimit{limit, n.silence.seen, now.Sub(n.silence.at)}
	}
	return v
}

// record returns the tally for other processes, or nil if there was no observation.
func (t *tally) record(now time.Time, halfLife time.Duration) *record {
	last, hasFailed := t.proved, t.failure.After(t.proved)
	if hasFailed {
		last = t.failure
	}
	if last.IsZero() {
		return nil
	}
	t.fade(now, halfLife)
	return &record{t.good, t.bad, hasFailed, t.reason, now.Sub(last)}
}

// learn takes over the tally of another process. The newest observation decides: a failure
// counts unless the transport has worked here since, and a success the reverse. Equal knowledge
// of two processes counts once. learn reports whether the other process avoids the transport
// although it works here: then all that use it count as a success after that failure.
func (t *tally) learn(r *record, now time.Time, halfLife time.Duration) (refutes bool) {
	if r == nil {
		return false
	}
	at, good, bad := before(now, r.Age), min(r.Good, mostGood), min(max(r.Bad, 0), mostBad)
	t.fade(now, halfLife)
	t.good = max(t.good, good)
	switch {
	case r.Failed && !t.proved.After(at):
		t.bad, t.reason, t.failure = max(t.bad, bad), knownReason(r.Reason), latest(t.failure, at)
	case !r.Failed && !t.failure.After(at):
		t.bad, t.proved = min(t.bad, bad), latest(t.proved, at)
	}
	if !r.Failed || bad <= good+enough || t.shouldAvoid(now, halfLife) {
		return false
	}
	t.good = max(t.good, float64(min(t.living, mostGood)))
	t.proved = latest(t.proved, at.Add(1))
	return true
}

// knownReason returns a reason of this package, also for one of a later release.
func knownReason(reason string) string {
	if slices.Contains([]string{stripped, unanswered, absent}, reason) {
		return reason
	}
	return heldBack
}

// before returns the time at an age.
func before(now time.Time, age time.Duration) time.Time { return now.Add(-max(age, 0)) }

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
