package client

import (
	"math/rand/v2"
	"time"
)

// Retry describes an attempt for a ReconnectPolicy.
type Retry struct {
	// Attempts is the number of attempts since the connection was lost: 0 the first time. An
	// attempt with a connection that was lost within 5 seconds counts as failed.
	Attempts int
	// Elapsed is the time since the connection was lost, or since the first loss if such attempts
	// count.
	Elapsed time.Duration
	// Cause is the error of the lost connection or of the last attempt.
	Cause error
}

// ReconnectPolicy returns the wait before the next attempt to connect, or again = false to give up.
// If the server has asked for a longer wait with Retry-After, that applies. The policy is not
// called concurrently for one connection. If it panics, the connection gives up.
type ReconnectPolicy func(Retry) (wait time.Duration, again bool)

// DefaultReconnect returns the policy of the official clients: four attempts, after 0, 2, 10 and 30
// seconds.
func DefaultReconnect() ReconnectPolicy {
	return ReconnectAfter(0, 2*time.Second, 10*time.Second, 30*time.Second)
}

// ReconnectAfter returns a policy with one attempt after each of the given waits.
func ReconnectAfter(waits ...time.Duration) ReconnectPolicy {
	return func(r Retry) (time.Duration, bool) {
		if r.Attempts >= len(waits) {
			return 0, false
		}
		return waits[r.Attempts], true
	}
}

// ReconnectForever returns a policy that never gives up. The first wait is at most least; each
// later wait may be twice as long, up to most. The actual wait is random, between half of that and
// all of it, so that clients of one server do not reconnect all at once. Zeros mean one second and
// thirty seconds.
func ReconnectForever(least, most time.Duration) ReconnectPolicy {
	setDefault(&least, time.Second)
	setDefault(&most, 30*time.Second)
	return func(r Retry) (time.Duration, bool) {
		wait := most
		if r.Attempts < 32 && least<<r.Attempts > 0 {
			wait = min(least<<r.Attempts, most)
		}
		return wait/2 + rand.N(wait/2+1), true
	}
}
