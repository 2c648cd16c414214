package hub

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

// keepAlive is what a session knows of time. The sweep looks at it once a second.
type keepAlive struct {
	// Both in nanoseconds of the session's age.
	nextPing  time.Duration // the sweep's own
	lastHeard atomic.Int64  // when the client was heard last
	watched   atomic.Bool   // the client pinged: it has to go on saying something
	busy      atomic.Bool   // what it said is being taken, or it is away: it cannot be expected to say more
}

func (k *keepAlive) pinged() { k.watched.Store(true) }

// setBusy notes that what came in begins to be handled, or that the client is away; or that
// this is over.
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

// checkTimeouts does what time asks for: the keep-alive, the end of a silent client, of one
// that does not shake hands, and of one whose authentication has ended.
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
			s.exceeded(&s.hub.refused.handshakes, "time for the handshake")
			s.refuseHandshake(handshakeCanceled)
		}
	case connecting, open:
		if s.isSilent(age) {
			s.log(slog.LevelDebug, "ClientTimeout")
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

// ping sends one if it is due. The first is due an interval after the connection
// began, the others an interval apart, so that looking late does not add up.
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
	// Without room for it the client has enough to read.
	_ = s.conn.Send(s.wire.ping)
}
