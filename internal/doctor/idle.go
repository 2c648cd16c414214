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

// sitIdle leaves what works silent and sees what is cut.
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

// sitIdle does what a client does that has nothing to say: by long polling nothing, else
// it pings.
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

// cut takes note of an end in silence.
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
