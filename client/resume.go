package client

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// mayResume reports whether another carrier can take over after one ended with err.
func (s *session) mayResume(err error) bool {
	if err == nil || s.reopen == nil || s.ctx.Err() != nil || isRefusal(err) {
		return false
	}
	select {
	case <-s.written: // the session was ending
		return false
	case <-s.active:
		return true
	default:
		return false // there is nothing to resume before the handshake
	}
}

// isRefusal reports whether the server can be reached and does not know the connection. 409 means
// that the server still holds a request of the previous carrier; the next attempt succeeds.
func isRefusal(err error) bool {
	status := statusOf(err)
	return status != 0 && status < http.StatusInternalServerError &&
		status != http.StatusConflict && status != http.StatusTooManyRequests
}

// busy is an answer of the server that asks for a delay.
type busy struct {
	until time.Time
	err   error
}

// resume replaces a broken carrier.
func (s *session) resume(broken carrier) (carrier, error) {
	s.out.interrupt(broken)
	broken.Abort()
	reached, waiting := s.out.progress()
	failure := s.pacer.add(reached, waiting, len(s.rest) > 0)
	s.rest = s.rest[:0] // an incomplete record is sent again
	ctx, cancel := context.WithTimeout(s.ctx, resumeWindow)
	defer cancel()
	for wait := s.pacer.pause; failure == nil; wait = s.pacer.next() {
		if err := s.pacer.wait(ctx, wait); err != nil {
			failure = err
			break
		}
		c, err := s.reopen(ctx)
		if err == nil {
			s.switchCarrier(c)
			return c, nil
		}
		s.pacer.noteBusy(err)
		if isRefusal(err) || ctx.Err() != nil {
			failure = err
		}
	}
	return nil, failure
}

// pacer paces the attempts to replace broken carriers. The reader uses breaks.
type pacer struct {
	breaks
	busy atomic.Pointer[busy] // the last such answer
}

// noteBusy records the delay that the server asked for with err.
func (p *pacer) noteBusy(err error) {
	if wait := retryAfter(err); wait > 0 {
		p.busy.Store(&busy{time.Now().Add(wait), err})
	}
}

// wait waits before an attempt to resume: about wait, or longer if the server has asked for
// it. It fails at once if that is longer than ctx lasts.
func (p *pacer) wait(ctx context.Context, wait time.Duration) error {
	wait = jitter(wait)
	if b := p.busy.Load(); b != nil {
		wait = max(wait, time.Until(b.until))
		if end, ok := ctx.Deadline(); ok && b.until.After(end) {
			return b.err
		}
	}
	return sleep(ctx, wait)
}

// switchCarrier makes c the carrier, unless the session has ended in the meantime.
func (s *session) switchCarrier(c carrier) {
	s.life.noteReceived()
	s.pacer.began = time.Now()
	s.replayDue = true
	s.out.resume(c)
	if s.ctx.Err() != nil {
		c.Abort()
	}
}

// giveUpCarrier aborts a silent carrier if another one can take over. The reader then replaces it.
func (s *session) giveUpCarrier() bool {
	if s.reopen == nil || s.run.budget.isPaused() {
		return false
	}
	s.out.current().Abort()
	return true
}
