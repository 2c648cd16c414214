package serversentevents

import (
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// holdTimeout returns the time within which the client must post its handshake, or 0 if there
// is no limit.
func holdTimeout(c *connection.Connection) time.Duration {
	if c.Listens() {
		return 0
	}
	return max(0, c.Options().HoldTimeout)
}

// startTimer returns a channel that receives after d, or nil if there is no limit.
func startTimer(limited bool, d time.Duration) (over <-chan time.Time, stop func() bool) {
	if !limited {
		return nil, func() bool { return false }
	}
	timer := time.NewTimer(d)
	return timer.C, timer.Stop
}

// checkHold is called at the end of the hold time-out. It returns ErrHeld if the client has
// not seen its stream.
func checkHold(c *connection.Connection) error {
	switch c.Posts() {
	case 0:
		c.Tell(transports.Event{Kind: transports.Held})
		return transports.ErrHeld
	case 1:
		c.Tell(transports.Event{Kind: transports.Mute})
	}
	return nil
}

// clientLeft reports to the observer that the client has left or was cut after a silence.
// Clients begin with a POST, so a client that posted nothing for a second has not seen its
// stream.
func clientLeft(c *connection.Connection, begun time.Time, silence time.Duration) error {
	switch {
	case c.Posts() > 0:
		c.CutAfter(silence)
	case holdTimeout(c) > 0 && c.Context().Err() == nil && time.Since(begun) > time.Second:
		c.Tell(transports.Event{Kind: transports.Held})
	}
	return transports.ErrClientGone
}

// reset resets the TCP connection of a stream that a proxy buffers. In HTTP/1.0 the end of
// the connection is an orderly end of the body, so only a reset shows a proxy that the body
// is incomplete. HTTP/2 resets the stream itself.
func (s *stream) reset() {
	conn, _, err := s.control.Hijack()
	if err != nil {
		s.abort()
		return
	}
	socket.ResetNow(conn)
}
