package upstream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxOutbox is the memory of the events that wait, in bytes. A newer event is dropped.
	maxOutbox = 32 << 20
	// attempts is the largest number of attempts for an event, and firstPause the pause after the
	// first. Each further pause is twice as long.
	attempts   = 5
	firstPause = time.Second
)

var errDropped = errors.New("the event is dropped: too many wait, or the program ends")

// outbox sends disconnected events from goroutines of its own, which end when no event waits. It
// tries an event again after a failure that may pass. Safe for concurrent use.
type outbox struct {
	u       *Upstream
	ctx     context.Context
	cancel  context.CancelFunc // cuts what runs
	closing chan struct{}      // closed by shutdown: no more repetition
	running sync.WaitGroup
	sending atomic.Int32 // events that have been taken by a goroutine

	mu      sync.Mutex
	waiting []letter
	size    int // of the events that wait
	workers int
	closed  bool
}

type letter struct {
	*event
	*route
}

func newOutbox(u *Upstream) *outbox {
	o := &outbox{u: u, closing: make(chan struct{})}
	o.ctx, o.cancel = context.WithCancel(context.Background())
	return o
}

// add adds an event, or drops it if there is no room.
func (o *outbox) add(e *event, r *route) {
	if l := (letter{e, r}); !o.admit(l) {
		o.drop(l)
	}
}

func (o *outbox) admit(l letter) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.size += l.size(); o.closed || o.size > maxOutbox {
		o.size -= l.size()
		return false
	}
	o.waiting = append(o.waiting, l)
	if o.workers < o.most() {
		o.workers++
		o.running.Go(o.work)
	}
	return true
}

// most returns the number of events that may be sent at a time.
func (o *outbox) most() int { return (cap(o.u.plan.Load().slots) + 3) / 4 }

// work sends events until none waits.
func (o *outbox) work() {
	for {
		l, ok := o.next()
		if !ok {
			return
		}
		o.deliver(l)
		o.sending.Add(-1)
	}
}

func (o *outbox) next() (l letter, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		o.waiting = nil
	}
	if o.waiting == nil || o.workers > o.most() {
		o.workers--
		return l, false
	}
	l, o.waiting[0] = o.waiting[0], letter{}
	o.waiting = o.waiting[1:]
	o.size -= l.size()
	o.sending.Add(1)
	return l, true
}

// deliver sends an event, several times if it has to. At the end of the program the next attempt
// comes at once and is the last.
func (o *outbox) deliver(l letter) {
	pause := firstPause
	for n := 1; ; n++ {
		isLast := n == attempts || o.isClosing()
		err := o.u.send(o.ctx, nil, l.route, l.event, nil)
		switch {
		case err == nil:
			return
		case o.ctx.Err() != nil:
			o.drop(l)
			return
		case isLast || !mayPass(err): // logged
			return
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-o.closing:
		}
	}
}

func (o *outbox) isClosing() bool {
	select {
	case <-o.closing:
		return true
	default:
		return false
	}
}

// drop reports an event that is not sent.
func (o *outbox) drop(l letter) {
	o.u.meter.Requested(disconnected, "dropped", 0)
	o.u.log(disconnected, l.base.Host, errDropped)
}

// mayPass reports whether another attempt can succeed.
func mayPass(err error) bool {
	if status, ok := errors.AsType[*statusError](err); ok {
		return status.code >= 500 || status.code == 408 || status.code == 429
	}
	return true
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) + int(o.sending.Load())
}

// shutdown accepts no more events. Those that wait, also for a repetition, get one more attempt. It
// drops those that have not been sent when ctx is done, and returns its cause.
func (o *outbox) shutdown(ctx context.Context) error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return nil
	}
	o.closed = true
	o.mu.Unlock()
	close(o.closing)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		o.running.Wait()
	}()
	var err error
	select {
	case <-sent:
	case <-ctx.Done():
		err = context.Cause(ctx)
		o.abandon()
		<-sent
	}
	o.cancel()
	return err
}

// abandon drops the events that wait and cuts those that are sent.
func (o *outbox) abandon() {
	o.cancel()
	o.mu.Lock()
	rest := o.waiting
	o.waiting, o.size = nil, 0
	o.mu.Unlock()
	for _, l := range rest {
		o.drop(l)
	}
}
