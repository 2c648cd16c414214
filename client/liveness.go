package client

import (
	"fmt"
	"sync/atomic"
	"time"
)

// liveness knows how long a session has received and sent nothing.
type liveness struct {
	began                  time.Time
	lastReceived, lastSent atomic.Int64 // time since began, so that setting the clock has no effect
	options                *Options
}

func (l *liveness) noteReceived() { l.lastReceived.Store(int64(time.Since(l.began))) }

func (l *liveness) noteSent() { l.lastSent.Store(int64(time.Since(l.began))) }

func (l *liveness) receiveSilence() time.Duration {
	return time.Since(l.began) - time.Duration(l.lastReceived.Load())
}

func (l *liveness) sendSilence() time.Duration {
	return time.Since(l.began) - time.Duration(l.lastSent.Load())
}

// nextCheck returns the time until one of the two limits can be reached.
func (l *liveness) nextCheck() time.Duration {
	next := time.Hour
	if limit := l.options.ServerTimeout; limit > 0 {
		next = min(next, limit-l.receiveSilence())
	}
	if interval := l.options.KeepAliveInterval; interval > 0 {
		due := interval - l.sendSilence()
		if due <= 0 {
			due = interval // a ping was just queued, or the writer is blocked
		}
		next = min(next, due)
	}
	return max(next, time.Millisecond)
}

// watch sends a ping if we were silent, and ends the session if the server was.
func (s *session) watch() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
		if limit := s.options.ServerTimeout; limit > 0 && s.life.receiveSilence() >= limit {
			if !s.run.budget.excusesSilence(limit) && !s.giveUpCarrier() {
				s.end(fmt.Errorf("%w (%v)", ErrServerTimeout, limit))
				return
			}
			s.life.noteReceived()
		}
		if interval := s.options.KeepAliveInterval; interval > 0 && s.life.sendSilence() >= interval && s.out.isEmpty() {
			s.out.addControl(s.protocol.AppendPing(nil))
		}
		timer.Reset(s.life.nextCheck())
	}
}
