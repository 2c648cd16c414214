package doctor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// pingInterval is how often SignalR's clients ping.
const pingInterval = 15 * time.Second

// sitIdle leaves all working transports silent and notes which of them are cut.
func (x *examiner) sitIdle(ctx context.Context, open []*session) {
	if x.options.Idle <= 0 || len(open) == 0 || ctx.Err() != nil {
		return
	}
	x.options.Progress(fmt.Sprintf("keeping silent for %v", x.options.Idle))
	var all sync.WaitGroup
	for _, s := range open {
		all.Go(func() { s.sitIdle(x.options.Idle) })
	}
	all.Wait()
}

// sitIdle behaves as an idle client: it sends pings, except by long polling.
func (s *session) sitIdle(limit time.Duration) {
	t := s.transport
	began := time.Now()
	moved := began // when something went one way or the other
	move := func(at time.Time) {
		t.SilentSeconds = max(t.SilentSeconds, at.Sub(moved).Seconds())
		moved = at
	}
	end := time.NewTimer(limit)
	defer end.Stop()
	pings := time.NewTicker(pingInterval)
	defer pings.Stop()
	defer func() { t.IdleSeconds = time.Since(began).Seconds() }()
	for {
		select {
		case a := <-s.arrivals:
			if a.err != nil {
				s.cut(a.err, a.at.Sub(moved))
				return
			}
			move(a.at)
		case <-pings.C:
			if t.Name == LongPolling {
				continue
			}
			if err := s.send(ping); err != nil {
				s.cut(err, time.Since(moved))
				return
			}
			move(time.Now())
		case <-end.C:
			move(time.Now())
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// cut records that the connection ended while it was silent.
func (s *session) cut(err error, silence time.Duration) {
	if errors.Is(err, context.Canceled) {
		return
	}
	if poll := (*pollError)(nil); errors.As(err, &poll) {
		silence = poll.silence
	}
	s.transport.CutAfter, s.transport.Cut = silence.Seconds(), err.Error()
	if status := (*statusError)(nil); errors.As(err, &status) {
		s.transport.Status = status.status
	}
}
