package hub

import (
	"sync/atomic"
	"time"
)

// Refusals counts the violations of a hub's limits since its start.
type Refusals struct {
	// Handshakes were too late, Messages were too long, and SlowConsumers had a full queue.
	// Each of these has ended a connection.
	Handshakes, Messages, SlowConsumers uint64
	// Invocations came too often, and waited before they were handled.
	Invocations uint64
	// Bytes of clients of a Relay came too fast, and waited before they were passed on.
	Bytes uint64
	// Streams were refused because their client had too many of them.
	Streams uint64
	// Results were not requested because too many were pending for their client.
	Results uint64
}

// refusals are counted without a lock.
type refusals struct {
	handshakes, messages, invocations, bytes, slowConsumers, streams, results atomic.Uint64
}

// Refusals returns the counts. It is safe for concurrent use.
func (h *Hub) Refusals() Refusals {
	c := &h.refused
	return Refusals{
		Handshakes: c.handshakes.Load(), Messages: c.messages.Load(), Invocations: c.invocations.Load(), Bytes: c.bytes.Load(),
		SlowConsumers: c.slowConsumers.Load(), Streams: c.streams.Load(), Results: c.results.Load(),
	}
}

// paceBurst is the time in which the client earns back a burst of invocations, or of bytes.
const paceBurst = 30 * time.Second

// errTooManyStreams is the error of a stream above Options.MaxStreams.
var errTooManyStreams = NewError("More streams are under way than a connection may have.")

// awaitPace waits until the client may invoke again. In that time nothing is read from
// the client. It returns false if the session ends first.
func (s *Session) awaitPace() bool {
	perSecond := s.hub.options.MaxInvocationsPerSecond
	if perSecond < 0 {
		return true
	}
	return s.spend(time.Second/time.Duration(perSecond), &s.hub.refused.invocations, "invocations")
}

// awaitBytes is awaitPace for n bytes of a client of a Relay.
func (s *Session) awaitBytes(n int) bool {
	perSecond := s.hub.options.MaxRelayedBytesPerSecond
	if perSecond < 0 {
		return true
	}
	return s.spend(time.Duration(n)*time.Second/time.Duration(perSecond), &s.hub.refused.bytes, "bytes")
}

// spend waits until the budget of the client allows an event, which it earns back in the time interval.
func (s *Session) spend(interval time.Duration, refused *atomic.Uint64, limit string) bool {
	age := time.Since(s.caller.begun)
	wait := s.pace.Wait(age, paceBurst)
	s.pace.Spend(age, interval)
	if wait == 0 {
		return true
	}
	s.log().refusal(refused, limit)
	earned := make(chan struct{})
	timer := time.AfterFunc(wait, func() { close(earned) })
	defer timer.Stop()
	return s.await(earned)
}

// At most maxResults results of a client are pending at a time, and at most
// maxResultWaiters of its own plain invocations wait for its results: each is a
// goroutine, and the client may never answer. resultBytes is the approximate size of a
// pending result.
const (
	maxResults       = 1000
	maxResultWaiters = 100
	resultBytes      = 8 << 10
)

// errTooManyResults is the error of Invoke when too many results of the client are
// pending.
var errTooManyResults = NewError("More results are awaited than a connection may owe.")

// maxEnding is the number of streams above Options.MaxStreams that may have ended and
// wait for room to send their completion to a client that does not read.
const maxEnding = 100

// maxStreamRecords is how many messages of Options.MaxMessageSize the invocations of the streams
// and uploads of a client may have together. Their ids and arguments are kept until they end.
const maxStreamRecords = 32

// isStreamTooMany reports whether the client has the maximum number of streams, both
// directions together, or their invocations are too long together.
func (c *call) isStreamTooMany() bool {
	s := c.session
	limit := s.hub.options.MaxStreams
	if limit < 0 {
		return false
	}
	running, records := s.tasks.Concurrency()
	long := int64(records) >= maxStreamRecords*int64(s.hub.options.MaxMessageSize) || records > 0 && hold(s.out.conn, 0)
	if s.streams.count() < limit && running < limit+maxEnding && !long {
		return false
	}
	s.log().refusal(&s.hub.refused.streams, "streams")
	return true
}
