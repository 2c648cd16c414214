package negotiate

import "time"

// silence is what is known of how long connections may be silent in a network.
type silence struct {
	limit time.Duration
	seen  int // how often something was cut at about that age
	at    time.Time
}

// Silences that are shorter are no network's limit; longer ones do not come up, for
// pings and the ends of polls come before.
const (
	shortest = 7 * time.Second
	longest  = 2 * time.Minute
)

// cut notes that a connection was cut after it had been silent for d. It may have been
// the client's leaving too, which looks the same. So a limit that was seen once only
// gives way to the next; and what has lived through a longer silence disproves it.
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

// known is the limit, zero if there is none. One that was seen once fades first.
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
