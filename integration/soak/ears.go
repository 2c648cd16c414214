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
// channel are numbered, and none may be missing between the first and the last.
type ears struct {
	mu       sync.Mutex
	channels map[string]*heard
	tick     int
	news     chan struct{} // something was heard
	end      chan struct{} // closed when the connection has ended

	wrongs, losses []string // complaints
}

// heard holds the numbers of the messages of one channel. Zero: none came yet.
type heard struct{ first, last int }

func newEars(c *client.HubConnection) *ears {
	e := &ears{channels: make(map[string]*heard), news: make(chan struct{}, 1), end: make(chan struct{})}
	c.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.To == client.Disconnected && change.From != client.Connecting {
			close(e.end)
		}
	})
	c.On("Shouted", client.Action1(func(_ context.Context, n int) error { e.hear(everyone, n); return nil }))
	c.On("Told", client.Action1(func(_ context.Context, n int) error { e.hear(user, n); return nil }))
	c.On("Said", client.Action2(func(_ context.Context, room, n int) error { e.hear(roomName(room), n); return nil }))
	c.On("Ticked", client.Action1(func(_ context.Context, n int) error { e.hearTick(n); return nil }))
	c.On("Double", client.Func1(func(_ context.Context, n int) (int, error) { return 2 * n, nil }))
	return e
}

func (e *ears) hear(name string, n int) {
	e.mu.Lock()
	h := e.channelLocked(name)
	if h.first == 0 {
		h.first = n
	} else if n != h.last+1 {
		e.wrongLocked("%s: %d behind %d", name, n, h.last)
	}
	h.last = n
	e.mu.Unlock()
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// hearTick: of ticks older ones may be left out.
func (e *ears) hearTick(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n <= e.tick {
		e.wrongLocked("tick %d behind %d", n, e.tick)
	}
	e.tick = n
}

func (e *ears) channelLocked(name string) *heard {
	if e.channels[name] == nil {
		e.channels[name] = &heard{}
	}
	return e.channels[name]
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
	h := *e.channelLocked(name)
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
	return e.channelLocked(name).last >= last
}

// complaints returns the faults and the losses. orderly: expect was called for all channels.
func (e *ears) complaints(orderly bool) (wrong, lost []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, h := range e.channels {
		if orderly && len(e.losses) == 0 && name != everyone && *h != (heard{}) {
			e.wrongLocked("%s: %+v came to one that is not there", name, *h)
		}
	}
	return e.wrongs, e.losses
}
