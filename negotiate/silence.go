package negotiate

import "time"

// silence estimates how long connections may be silent in a network.
type silence struct {
	limit time.Duration
	seen  int // the number of cuts at about that age
	at    time.Time
}

// Shorter silences are not a network's limit. Longer ones do not occur, because pings and the
// ends of polls interrupt them.
const (
	shortest = 7 * time.Second
	longest  = 2 * time.Minute
)

// cut records that a connection was cut after a silence of d. It reports whether that is news.
func (s *silence) cut(d time.Duration, now time.Time, halfLife time.Duration) (news bool) {
	seen := 1
	if s.resembles(d, now, halfLife) {
		seen += s.seen
	}
	return s.learn(silence{d, seen, now}, now, halfLife)
}

// learn takes over an estimate, and reports whether it has. The client may have left, which looks
// the same as a cut. So a limit that was seen once is replaced by the next one, and a longer
// silence disproves a shorter limit.
func (s *silence) learn(other silence, now time.Time, halfLife time.Duration) bool {
	switch {
	case other.limit < shortest || other.limit > longest || other.seen < 1:
		return false
	case s.resembles(other.limit, now, halfLife):
		*s = silence{min(s.limit, other.limit), max(s.seen, other.seen), latest(s.at, other.at)}
		return true
	case s.at.After(other.at):
		return false
	case s.known(now, halfLife) == 0 || s.seen == 1 || other.limit > s.limit:
		*s = other
		return true
	}
	return false
}

// resembles reports whether d is about the known limit.
func (s *silence) resembles(d time.Duration, now time.Time, halfLife time.Duration) bool {
	return s.known(now, halfLife) > 0 && (d-s.limit).Abs() <= max(time.Second, s.limit/10)
}

// known returns the limit, or zero if none is known. A limit that was seen once expires
// earlier.
func (s *silence) known(now time.Time, halfLife time.Duration) time.Duration {
	age := halfLife
	if s.seen > 1 {
		age *= 2
	}
	if s.seen == 0 || now.Sub(s.at) > age {
		return 0
	}
	return s.limit
}
