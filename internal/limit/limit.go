// Package limit allows events at a rate, with bursts.
package limit

import "time"

// Budget allows a burst of events and earns them back one by one. It is the time at which
// the whole burst is available again. Times are durations since a moment that the caller
// chooses. The zero value is a full budget. It is not safe for concurrent use.
type Budget time.Duration

// Wait returns how long it takes until the budget allows another event; 0: it does now.
// burst is the time in which the events of a burst are earned back.
func (b Budget) Wait(now, burst time.Duration) time.Duration {
	return max(0, time.Duration(b)-now-burst)
}

// Spend counts an event, which is earned back in the time interval.
func (b *Budget) Spend(now, interval time.Duration) { *b = max(*b, Budget(now)) + Budget(interval) }
