package hub

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

// keepAlive holds the times of a session. The sweep checks them once a second.
type keepAlive struct {
	// Both times are ages of the session, in nanoseconds.
	nextPing  time.Duration // used by the sweep only
	lastHeard atomic.Int64  // the last time the client sent data
	watched   atomic.Bool   // the client has sent a ping, so it must keep sending
	busy      atomic.Bool   // received data is being handled, or the client is away: no more can be expected of it
}

func (k *keepAlive) pinged() { k.watched.Store(true) }

// setBusy records that received data is being handled or that the client is away, or that
// this has ended.
func (s *Session) setBusy(busy bool) {
	if !busy && s.keepAlive.watched.Load() {
		s.keepAlive.lastHeard.Store(int64(time.Since(s.begun)))
	}
	s.keepAlive.busy.Store(busy)
}

var errSilent = &protocol.Fault{
	Exception: "OperationCanceledException",
	Message:   "Client hasn't sent a message/ping within the configured ClientTimeoutInterval.",
}

// checkTimeouts sends a ping if one is due. It ends the session if the authentication has
// expired, if the handshake takes too long, or if the client is silent for too long.
func (s *Session) checkTimeouts(now time.Time) {
	if s.expired(now) {
		s.close(ErrExpired, "", true)
		return
	}
	o := &s.hub.options
	age := now.Sub(s.begun)
	switch s.phase.Load() {
	case handshaking:
		if o.HandshakeTimeout > 0 && age >= o.HandshakeTimeout {
			s.countRefusal(&s.hub.refused.handshakes, "time for the handshake")
			s.refuseHandshake(handshakeCanceled)
		}
	case connecting, open, draining, finishing:
		if s.isSilent(age) {
			s.log(slog.LevelDebug, "client timed out")
			s.close(errSilent, s.closeText(errSilent), true)
			return
		}
		if s.buffer != nil && !s.isBacklogged() {
			s.buffer.acknowledge(s.conn, s.wire)
		}
		if o.KeepAliveInterval > 0 && !s.info.NoPings {
			s.ping(age, s.pingInterval())
		}
	}
}

func (s *Session) isSilent(age time.Duration) bool {
	k := &s.keepAlive
	return k.watched.Load() && !k.busy.Load() && s.hub.options.ClientTimeout > 0 &&
		age-time.Duration(k.lastHeard.Load()) > s.hub.options.ClientTimeout
}

func (s *Session) pingInterval() time.Duration {
	if interval := s.hub.options.KeepAliveInterval; s.info.KeepAliveInterval <= 0 || s.info.KeepAliveInterval > interval {
		return interval
	}
	return s.info.KeepAliveInterval
}

// ping sends a ping if one is due. The first is due one interval after the connection
// began, each later one an interval after the previous due time, so that delays of the
// sweep do not add up.
func (s *Session) ping(age, interval time.Duration) {
	k := &s.keepAlive
	if k.nextPing == 0 {
		k.nextPing = interval
	}
	if age < k.nextPing {
		return
	}
	if k.nextPing += interval; age >= k.nextPing {
		k.nextPing = age + interval
	}
	// If the queue is full, the client does not need a ping.
	_ = s.conn.Send(s.wire.ping)
}
