package serversentevents

import (
	"crypto/tls"
	"time"

	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// holdTimeout is how long a handshake is waited for, 0 if none is.
func holdTimeout(c *transports.Connection) time.Duration {
	if c.Listens() {
		return 0
	}
	return max(0, c.Options().HoldTimeout)
}

// watch returns what tells that the hold time-out is over, nil if there is none.
func (s *stream) watch() (over <-chan time.Time, stop func() bool) {
	limit := holdTimeout(s.c)
	if limit == 0 {
		return nil, func() bool { return false }
	}
	timer := time.NewTimer(limit)
	return timer.C, timer.Stop
}

// answered tells, when the hold time-out is over, whether the client saw its stream.
func answered(c *transports.Connection) error {
	switch c.Posts() {
	case 0:
		c.Tell(transports.Event{Kind: transports.Held})
		return transports.ErrHeld
	case 1:
		c.Tell(transports.Event{Kind: transports.Mute})
	}
	return nil
}

// left notes that the client has left, or was cut off after a silence. One that posts
// nothing in a while, where clients begin with that, has not seen its stream.
func left(c *transports.Connection, begun time.Time, silence time.Duration) error {
	switch {
	case c.Posts() > 0:
		c.CutAfter(silence)
	case holdTimeout(c) > 0 && c.Context().Err() == nil && time.Since(begun) > time.Second:
		c.Tell(transports.Event{Kind: transports.Held})
	}
	return transports.ErrClientGone
}

// reset cuts the TCP connection of a stream that something on the way holds back. In
// HTTP/1.0 an end of the connection is an orderly end of the body, so only a reset tells
// a proxy that there was none. HTTP/2 has a reset of its own for the stream.
func (s *stream) reset() {
	conn, _, err := s.control.Hijack()
	if err != nil {
		s.abort()
	}
	socket.ResetOnClose(conn)
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn() // without a word of TLS before
	}
	_ = conn.Close()
}
