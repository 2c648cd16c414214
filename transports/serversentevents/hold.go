package serversentevents

import (
	"crypto/tls"
	"net/http"
	"time"
)

// watch returns what tells that the hold time-out is over, nil if there is none.
func (s *stream) watch() (over <-chan time.Time, stop func() bool) {
	limit := s.c.Options().HoldTimeout
	if limit <= 0 {
		return nil, func() bool { return false }
	}
	timer := time.NewTimer(limit)
	return timer.C, timer.Stop
}

// reset cuts the TCP connection of a stream that something on the way holds back. In
// HTTP/1.0 an end of the connection is an orderly end of the body, so only a reset tells
// a proxy that there was none. HTTP/2 has a reset of its own for the stream.
func (s *stream) reset() {
	conn, _, err := s.control.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if secure, ok := conn.(*tls.Conn); ok {
		raw = secure.NetConn()
	}
	if tcp, ok := raw.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}
