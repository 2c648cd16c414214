package client

import (
	"math/rand/v2"
	"time"
)

// Retry describes the attempt that a ReconnectPolicy decides about.
type Retry struct {
	// Attempts made since the connection was lost: 0 the first time. One that made a connection which
	// was lost again within 5 seconds counts as failed.
	Attempts int
	// Elapsed since the connection was lost, or since the first loss if such attempts count.
	Elapsed time.Duration
	// Cause is why the connection was lost or the last attempt failed.
	Cause error
}

// ReconnectPolicy says how long to wait before the next attempt to connect, or, by false, to give
// up. The wait is longer where the server has asked for that by Retry-After. Calls for one connection
// come one after the other. A policy that panics gives up.
type ReconnectPolicy func(Retry) (wait time.Duration, again bool)

// DefaultReconnect is the policy of the official clients: four attempts, after 0, 2, 10 and 30
// seconds.
func DefaultReconnect() ReconnectPolicy {
	return ReconnectAfter(0, 2*time.Second, 10*time.Second, 30*time.Second)
}

// ReconnectAfter makes one attempt after each of the given times, then gives up.
func ReconnectAfter(waits ...time.Duration) ReconnectPolicy {
	return func(r Retry) (time.Duration, bool) {
		if r.Attempts >= len(waits) {
			return 0, false
		}
		return waits[r.Attempts], true
	}
}

// ReconnectForever never gives up: the first attempt comes within least, and each further one may
// wait twice as long, up to most. How long it really is lies anywhere between half of that and all
// of it, so that clients which lost the same server do not come back in one instant. Zeros mean
// one second and thirty.
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
