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

// cut records that a connection was cut after a silence of d. The client may have left, which
// looks the same. So a limit that was seen once is replaced by the next one, and a cut after
// a longer silence disproves a shorter limit.
func (s *silence) cut(d time.Duration, now time.Time, halfLife time.Duration) {
	if d < shortest || d > longest {
		return
	}
	same := s.known(now, halfLife) > 0 && (d-s.limit).Abs() <= max(time.Second, s.limit/10)
	switch {
	case same:
		s.limit, s.seen, s.at = min(s.limit, d), s.seen+1, now
	case s.known(now, halfLife) == 0 || s.seen == 1 || d > s.limit:
		*s = silence{d, 1, now}
	}
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
