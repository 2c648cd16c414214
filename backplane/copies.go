package backplane

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// copies are the payloads that this process has published on channels that it has subscribed.
// It delivers such a message when its own copy comes back, so that it has its place among
// those of other processes.
type copies struct {
	count atomic.Int64 // of all entries, so that a process that only receives compares nothing

	mu        sync.Mutex
	byChannel map[string]*channelCopies
	last      uint64 // number of the newest entry
	degraded  bool   // own copies are not waited for
}

type channelCopies struct {
	waiting []*ownCopy // in the order in which they were published
	late    []lateCopy // delivered without waiting: their copies are dropped
}

// ownCopy is a message that is delivered in this process when its copy comes back, or when
// it is clear that none comes.
type ownCopy struct {
	channel string
	hash    uint64 // of the payload
	number  uint64
	to      hub.Audience
	message hub.Message
	// delivered: the message needs no delivery any more (Options.LocalFirst).
	delivered bool
	answered  bool          // the broker has published it: its copy comes soon, or never
	done      chan struct{} // closed after the delivery
	err       error         // of the delivery
}

// lateCopy is a payload that is to be dropped if it comes until a time.
type lateCopy struct {
	hash     uint64
	until    time.Time
	answered bool // as that of ownCopy
}

// A broker that hangs may publish half a minute later. Of a channel, maxLate copies are
// remembered. The copy of a publication that the broker has answered comes within answeredTime, or
// never; while the broker is degraded, it may come behind the confirmations of all subscriptions.
const (
	lateTime     = time.Minute
	answeredTime = time.Second
	maxLate      = 1024
)

var copySeed = maphash.MakeSeed()

// ofLocked returns the copies of a channel, and begins to keep some.
func (c *copies) ofLocked(channel string) *channelCopies {
	of := c.byChannel[channel]
	if of == nil {
		of = &channelCopies{}
		if c.byChannel == nil {
			c.byChannel = make(map[string]*channelCopies)
		}
		c.byChannel[channel] = of
	}
	return of
}

// dropLocked forgets a channel that has no entries.
func (c *copies) dropLocked(channel string, of *channelCopies) {
	if len(of.waiting)+len(of.late) == 0 {
		delete(c.byChannel, channel)
	}
}

// expect adds a message before it is published. It reports whether its copy is waited for;
// otherwise a copy that comes is dropped, and the caller delivers the message.
func (c *copies) expect(own *ownCopy, payload []byte) (waits bool) {
	own.hash = maphash.Bytes(copySeed, payload)
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.ofLocked(own.channel)
	c.last++
	own.number = c.last
	if c.degraded {
		c.rememberLocked(of, own)
		return false
	}
	of.waiting = append(of.waiting, own)
	c.count.Add(1)
	return true
}

// rememberLocked drops the copy of a message that is delivered without it.
func (c *copies) rememberLocked(of *channelCopies, own *ownCopy) {
	c.expireLocked(of, maxLate-1)
	long := lateTime
	if own.answered {
		long = answeredTime
	}
	of.late = append(of.late, lateCopy{own.hash, time.Now().Add(long), own.answered})
	c.count.Add(1)
}

// expireLocked forgets late copies: those that do not come any more, and the oldest of more
// than most.
func (c *copies) expireLocked(of *channelCopies, most int) {
	now, old := time.Now(), 0
	for old < len(of.late) && (!of.late[old].until.After(now) || len(of.late)-old > most) {
		old++
	}
	of.late = of.late[old:]
	c.count.Add(int64(-old))
}

// received returns the message with this payload if its copy has come back, or nil. It reports
// whether the payload is to be dropped, because its message was delivered before.
func (c *copies) received(channel string, payload []byte) (own *ownCopy, late bool) {
	if c.count.Load() == 0 {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.byChannel[channel]
	if of == nil {
		return nil, false
	}
	defer c.dropLocked(channel, of)
	c.expireLocked(of, maxLate)
	hash := maphash.Bytes(copySeed, payload)
	if i := slices.IndexFunc(of.waiting, func(o *ownCopy) bool { return o.hash == hash }); i >= 0 {
		own = of.waiting[i]
		of.waiting = slices.Delete(of.waiting, i, i+1)
		c.count.Add(-1)
		return own, false
	}
	return nil, c.forgetLocked(of, hash)
}

// forgetLocked removes the late copy of a payload, and reports whether there is one.
func (c *copies) forgetLocked(of *channelCopies, hash uint64) bool {
	now := time.Now()
	i := slices.IndexFunc(of.late, func(l lateCopy) bool { return l.hash == hash && l.until.After(now) })
	if i < 0 {
		return false
	}
	of.late = slices.Delete(of.late, i, i+1)
	c.count.Add(-1)
	return true
}

// unsent takes back the expectation of a payload that was certainly not published. It reports
// whether the message is still to be delivered.
func (c *copies) unsent(own *ownCopy) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.ofLocked(own.channel)
	defer c.dropLocked(own.channel, of)
	if c.withdrawLocked(of, own) {
		return true
	}
	c.forgetLocked(of, own.hash)
	return false
}

// answered notes that the broker has published a message. If its copy is one to be dropped,
// it is not remembered for long when the broker is not degraded: another process may send the same
// payload.
func (c *copies) answered(own *ownCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own.answered = true
	of := c.byChannel[own.channel]
	if of == nil {
		return
	}
	i := slices.IndexFunc(of.late, func(l lateCopy) bool { return l.hash == own.hash && !l.answered })
	if i < 0 {
		return
	}
	of.late[i].answered = true
	if !c.degraded {
		of.late[i].hasten()
	}
}

// hasten forgets an answered copy after answeredTime.
func (l *lateCopy) hasten() {
	if soon := time.Now().Add(answeredTime); l.answered && l.until.After(soon) {
		l.until = soon
	}
}

// uncertain ends the wait for a copy: it may come later, and is dropped then. It reports
// whether the message is still to be delivered.
func (c *copies) uncertain(own *ownCopy) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.ofLocked(own.channel)
	defer c.dropLocked(own.channel, of)
	if !c.withdrawLocked(of, own) {
		return false
	}
	c.rememberLocked(of, own)
	return true
}

func (c *copies) withdrawLocked(of *channelCopies, own *ownCopy) bool {
	i := slices.Index(of.waiting, own)
	if i < 0 {
		return false
	}
	of.waiting = slices.Delete(of.waiting, i, i+1)
	c.count.Add(-1)
	return true
}

// changed begins or ends the time in which own copies are not waited for. It returns the
// messages that wait, in the order in which they were published: they are to be delivered.
func (c *copies) changed(degraded bool) (waiting []*ownCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.degraded
	c.degraded = degraded
	for _, of := range c.byChannel {
		switch {
		case degraded && !was:
			waiting = append(waiting, of.waiting...)
			c.count.Add(-int64(len(of.waiting)))
			for _, own := range of.waiting {
				c.rememberLocked(of, own)
			}
			of.waiting = nil
		case was && !degraded:
			for i := range of.late {
				of.late[i].hasten()
			}
		}
	}
	slices.SortFunc(waiting, func(a, b *ownCopy) int { return cmp.Compare(a.number, b.number) })
	return waiting
}

// unsubscribed returns the messages that wait on channels that are no longer subscribed:
// their copies do not come.
func (c *copies) unsubscribed(channels []string) (waiting []*ownCopy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, channel := range channels {
		if of := c.byChannel[channel]; of != nil {
			waiting = append(waiting, of.waiting...)
			c.count.Add(-int64(len(of.waiting) + len(of.late)))
			delete(c.byChannel, channel)
		}
	}
	return waiting
}
