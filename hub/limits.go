package hub

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// Refusals counts since the start what clients did beyond a hub's limits.
type Refusals struct {
	// Handshakes that did not come in time, Messages that were too long, Invocations that
	// came too often and SlowConsumers whose queue was full: each is the end of a connection.
	Handshakes, Messages, Invocations, SlowConsumers uint64
	// Streams that were refused because their client had too many under way.
	Streams uint64
	// Results that clients were not asked for because they owed too many.
	Results uint64
}

// refusals are counted without a lock.
type refusals struct {
	handshakes, messages, invocations, slowConsumers, streams, results atomic.Uint64

	logged atomic.Int64 // the second of the last line
}

// Refusals returns the counts.
func (h *Hub) Refusals() Refusals {
	c := &h.refused
	return Refusals{
		Handshakes: c.handshakes.Load(), Messages: c.messages.Load(), Invocations: c.invocations.Load(),
		SlowConsumers: c.slowConsumers.Load(), Streams: c.streams.Load(), Results: c.results.Load(),
	}
}

// exceeded counts what went beyond a limit, and logs the first of a second: clients must
// not fill the log.
func (s *Session) exceeded(count *atomic.Uint64, limit string) {
	n := count.Add(1)
	if now := time.Now().Unix(); s.hub.refused.logged.Swap(now) != now {
		s.log(slog.LevelWarn, "a client is over a limit", slog.String("limit", limit), slog.Uint64("refused", n))
	}
}

// invocationsBurst is how many seconds' worth of invocations may come at once.
const invocationsBurst = 10

// pace is when a client that invokes too often has earned its next invocation, in the
// session's age. Its reader's own.
type pace time.Duration

// allow tells whether one more may come.
func (p *pace) allow(age time.Duration, perSecond int) bool {
	next := max(time.Duration(*p), age)
	if next-age > invocationsBurst*time.Second {
		return false
	}
	*p = pace(next + time.Second/time.Duration(perSecond))
	return true
}

// errTooFast ends the connection of a client that invokes too often.
var errTooFast = NewError("More invocations came than a connection may make.")

// errTooManyStreams is the answer to a stream beyond Options.MaxStreams.
var errTooManyStreams = NewError("More streams are under way than a connection may have.")

// tooFast ends the session if the client invokes too often.
func (s *Session) tooFast() bool {
	limit := s.hub.options.MaxInvocationsPerSecond
	if limit < 0 || s.pace.allow(time.Since(s.begun), limit) {
		return false
	}
	s.exceeded(&s.hub.refused.invocations, "invocations")
	s.closeOnClientError(errTooFast, false)
	return true
}

// A client owes at most maxResults results at a time, and at most maxAsking of its own plain
// invocations wait for results of its: each is a goroutine, and the client need never answer.
// resultBytes is about what one costs.
const (
	maxResults       = 1000
	maxResultWaiters = 100
	resultBytes      = 8 << 10
)

// errTooManyResults is what asking a client fails with that owes too many results.
var errTooManyResults = NewError("More results are awaited than a connection may owe.")

// maxEnding is how many streams beyond Options.MaxStreams may be over and wait for a client
// that does not read to be told so.
const maxEnding = 100

// tooManyStreams tells whether the client has as many streams, either way, as it may.
func (s *Session) tooManyStreams() bool {
	limit := s.hub.options.MaxStreams
	if limit < 0 {
		return false
	}
	s.mu.Lock()
	many := len(s.streams)+len(s.uploading) >= limit || s.tasks.concurrent >= limit+maxEnding
	s.mu.Unlock()
	if many {
		s.exceeded(&s.hub.refused.streams, "streams")
	}
	return many
}
