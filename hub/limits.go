package hub

import "time"

// invocationsBurst is how many seconds' worth of invocations may come at once.
const invocationsBurst = 10

// pace is when a client that invokes too often has earned its next invocation, in the
// session's age. Its reader's own.
type pace time.Duration

// earned tells whether one more may come.
func (p *pace) earned(age time.Duration, perSecond int) bool {
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
	if limit < 0 || s.pace.earned(time.Since(s.begun), limit) {
		return false
	}
	s.offended(errTooFast, false)
	return true
}

// tooManyStreams tells whether the client has as many streams, either way, as it may.
func (s *Session) tooManyStreams() bool {
	limit := s.hub.options.MaxStreams
	if limit < 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)+len(s.uploading) >= limit
}
