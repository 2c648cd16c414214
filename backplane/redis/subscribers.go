package redis

import (
	"context"
	"slices"
	"time"

	"github.com/carillon-go/carillon/backplane"
)

// recountPause is the time after which subscriptions are counted again, because those of this broker
// have changed.
const recountPause = 5 * time.Millisecond

// Subscribers implements backplane.Surveyor. A user of Redis with few rights needs the one to PUBSUB
// NUMSUB for it.
func (b *Broker) Subscribers(ctx context.Context, channels ...string) ([]int, error) {
	for {
		l, before := b.own(channels)
		if l == nil {
			return nil, backplane.ErrUnavailable
		}
		counts, err := l.countSubscribers(ctx, channels)
		if err != nil {
			return nil, err
		}
		if same, after := b.own(channels); same == l && before != nil && slices.Equal(before, after) {
			for i, number := range before {
				if number != 0 {
					counts[i] = max(counts[i]-1, 0)
				}
			}
			return counts, nil
		}
		select {
		case <-time.After(recountPause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// own returns the connection, or nil if the broker is degraded, and for each channel the number of
// the confirmation of its subscription, or 0 if it is not subscribed. There are no numbers while the
// server has to confirm a change.
func (b *Broker) own(channels []string) (*link, []uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state.Degraded {
		return nil, nil
	}
	numbers := make([]uint64, len(channels))
	for i, name := range channels {
		of := b.channels.byName[name]
		switch {
		case of == nil:
		case of.open > 0:
			return b.link, nil
		case of.asked:
			numbers[i] = of.since
		}
	}
	return b.link, numbers
}

// countSubscribers returns the number of subscriptions of each channel.
func (l *link) countSubscribers(ctx context.Context, channels []string) (counts []int, err error) {
	for some := range slices.Chunk(channels, batchSize) {
		p := &publication{channels: 1, kind: '*', done: make(chan struct{})}
		l.mu.Lock()
		l.enqueueLocked(p, appendCommand(l.out, append([]string{"PUBSUB", "NUMSUB"}, some...)...))
		l.mu.Unlock()
		l.written.Notify()
		select {
		case <-p.done:
		case <-l.ctx.Done():
			return nil, backplane.ErrUnavailable
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		switch {
		case p.refusal != nil:
			return nil, p.refusal
		case len(p.items) != 2*len(some):
			return nil, errProtocol
		}
		for i := range some {
			count := p.items[2*i+1]
			if count.kind != ':' {
				return nil, errProtocol
			}
			counts = append(counts, int(count.number))
		}
	}
	return counts, nil
}
