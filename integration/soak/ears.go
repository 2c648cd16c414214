package soak

import (
	"context"
	"fmt"
	"sync"

	"github.com/carillon-go/carillon/client"
)

// Names of channels; roomName has more.
const (
	everyone = "everyone"
	user     = "user"
)

// ears record the messages that a client has heard, and complain about wrong ones. Messages of a
// channel are numbered by their source, and none may be missing between the first and the last.
type ears struct {
	mu       sync.Mutex
	own      string                       // the source at the client's own node
	channels map[string]map[string]*heard // by channel and source
	ticks    map[string]int               // by source
	counts   map[string]int               // messages by source
	news     chan struct{}                // something was heard
	end      chan struct{}                // closed when the connection has ended

	wrongs, losses []string          // complaints
	gaps           map[string]string // complaints about missing messages, the last one of each source
}

// heard holds the numbers of the messages of one channel. Zero: none came yet.
type heard struct{ first, last int }

func newEars(c *client.HubConnection) *ears {
	e := &ears{
		channels: make(map[string]map[string]*heard), ticks: make(map[string]int), counts: make(map[string]int), gaps: make(map[string]string),
		news: make(chan struct{}, 1), end: make(chan struct{}),
	}
	c.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.To == client.Disconnected && change.From != client.Connecting {
			close(e.end)
		}
	})
	c.On("Shouted", client.Action2(func(_ context.Context, source string, n int) error { e.hear(everyone, source, n); return nil }))
	c.On("Told", client.Action1(func(_ context.Context, n int) error { e.hear(user, "", n); return nil }))
	c.On("Said", client.Action3(func(_ context.Context, source string, room, n int) error {
		e.hear(roomName(room), source, n)
		return nil
	}))
	c.On("Joined", client.Action1(func(_ context.Context, room int) error { e.restart(roomName(room)); return nil }))
	c.On("Ticked", client.Action2(func(_ context.Context, source string, n int) error { e.hearTick(source, n); return nil }))
	c.On("Double", client.Func1(func(_ context.Context, n int) (int, error) { return 2 * n, nil }))
	return e
}

func (e *ears) hear(name, source string, n int) {
	e.mu.Lock()
	e.counts[source]++
	h := e.heardLocked(name, source)
	switch {
	case h.first == 0:
		h.first = n
	case n <= h.last:
		e.wrongLocked("%s of %s: %d behind %d", name, source, n, h.last)
	case n > h.last+1:
		e.gaps[source] = fmt.Sprintf("%s of %s: %d behind %d", name, source, n, h.last)
	}
	h.last = n
	e.mu.Unlock()
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// hearTick records a tick. Older ticks may be missing.
func (e *ears) hearTick(source string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n <= e.ticks[source] {
		e.wrongLocked("tick %d of %s behind %d", n, source, e.ticks[source])
	}
	e.ticks[source] = n
}

func (e *ears) heardLocked(name, source string) *heard {
	of := e.channels[name]
	if of == nil {
		of = make(map[string]*heard)
		e.channels[name] = of
	}
	if of[source] == nil {
		of[source] = &heard{}
	}
	return of[source]
}

// ownLocked returns the messages of a channel that came from the client's own node.
func (e *ears) ownLocked(name string) *heard {
	if name == user {
		return e.heardLocked(name, "")
	}
	return e.heardLocked(name, e.own)
}

func (e *ears) wrongLocked(format string, args ...any) {
	e.wrongs = append(e.wrongs, fmt.Sprintf(format, args...))
}

func (e *ears) wrong(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wrongLocked(format, args...)
}

func (e *ears) lost(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.losses = append(e.losses, fmt.Sprintf(format, args...))
}

// expect waits until the messages of a channel with the numbers after+1 to last have come, checks
// that none is missing, and forgets the channel. exact: no other message may have come.
func (e *ears) expect(ctx context.Context, name string, after, last int, exact bool) {
	for after < last && !e.reached(name, last) {
		select {
		case <-e.news:
		case <-e.end:
			e.lost("%s: the connection ended before %d came", name, last)
			return
		case <-ctx.Done():
			e.lost("%s: %d does not come", name, last)
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	h := *e.ownLocked(name)
	delete(e.channels, name)
	switch {
	case exact && after == last && h != (heard{}), exact && after < last && h != (heard{after + 1, last}):
		e.wrongLocked("%s: %+v came, not all of %d to %d", name, h, after+1, last)
	case after < last && h.first > after+1:
		e.wrongLocked("%s: %+v came, but not %d", name, h, after+1)
	}
}

func (e *ears) reached(name string, last int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ownLocked(name).last >= last
}

// restart forgets the messages of other nodes on a channel, because some may have come since expect:
// a node sends them while a client leaves, and the client handles them later than an answer.
func (e *ears) restart(name string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.channels[name] = map[string]*heard{e.own: e.ownLocked(name)}
}

// complaints returns the faults, the losses, and the missing messages of other nodes. orderly: expect was called for all
// channels.
func (e *ears) complaints(orderly bool) (wrong, lost, missed []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name := range e.channels {
		if h := e.ownLocked(name); orderly && len(e.losses) == 0 && name != everyone && *h != (heard{}) {
			e.wrongLocked("%s: %+v came to one that is not there", name, *h)
		}
	}
	for source, gap := range e.gaps {
		if source == e.own || source == "" {
			e.wrongLocked("%s", gap)
			continue
		}
		missed = append(missed, gap)
	}
	return e.wrongs, e.losses, missed
}
