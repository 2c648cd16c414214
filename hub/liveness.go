package hub

import (
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/internal/dispatch"
	"github.com/carillon-go/carillon/protocol"
)

// liveness holds the times of a session. The sweep checks them once a second. Times are
// ages of the session.
type liveness struct {
	nextPing  time.Duration // used by the sweep only
	lastHeard atomic.Int64  // the last time the client sent data, in nanoseconds
	watched   atomic.Bool   // the client has sent a ping, so it must keep sending
	busy      atomic.Bool   // received data is being handled, or the client is away: no more can be expected of it
}

func (l *liveness) pinged() { l.watched.Store(true) }

// setBusy records that received data is being handled or that the client is away, or that
// this has ended. begun is the start of the session.
func (l *liveness) setBusy(busy bool, begun time.Time) {
	if !busy && l.watched.Load() {
		l.lastHeard.Store(int64(time.Since(begun)))
	}
	l.busy.Store(busy)
}

// isSilent reports whether a client that must send has sent nothing for longer than
// timeout.
func (l *liveness) isSilent(age, timeout time.Duration) bool {
	return timeout > 0 && l.watched.Load() && !l.busy.Load() && age-time.Duration(l.lastHeard.Load()) > timeout
}

// isPingDue reports whether a ping must be sent. The first is due one interval after the
// connection began, each later one an interval after the previous due time, so that delays
// of the sweep do not add up.
func (l *liveness) isPingDue(age, interval time.Duration) bool {
	if l.nextPing == 0 {
		l.nextPing = interval
	}
	if age < l.nextPing {
		return false
	}
	if l.nextPing += interval; age >= l.nextPing {
		l.nextPing = age + interval
	}
	return true
}

// isPingDue reports whether a ping must be sent. The other program sends pings itself to a relayed
// client, unless it hangs.
func (s *Session) isPingDue(age, interval time.Duration) bool {
	if r := s.relayed.Load(); r != nil && (!r.isQuiet(age, interval) || len(s.out.wire.ping.Payload()) == 0) {
		return false
	}
	return s.liveness.isPingDue(age, interval)
}

var errSilent = &protocol.Fault{
	Exception: "OperationCanceledException",
	Message:   "Client hasn't sent a message/ping within the configured ClientTimeoutInterval.",
}

// checkTimeouts sends a ping if one is due. It ends the session if the authentication has
// expired, if the handshake takes too long, or if the client is silent for too long.
func (s *Session) checkTimeouts(now time.Time) {
	if s.caller.isExpired(now) {
		s.close(ErrExpired, "", true)
		return
	}
	o := &s.hub.options
	pingInterval := o.KeepAliveInterval
	if own := s.caller.info.KeepAliveInterval; own > 0 {
		pingInterval = min(pingInterval, own)
	}
	age := now.Sub(s.caller.begun)
	switch s.out.phase.Load() {
	case handshaking:
		if o.HandshakeTimeout > 0 && age >= o.HandshakeTimeout {
			s.log().refusal(&s.hub.refused.handshakes, "time for the handshake")
			s.opening.refuse(handshakeCanceled)
		}
	case connecting, open, draining, finishing:
		if s.liveness.isSilent(age, o.ClientTimeout) {
			s.log().debug("client timed out")
			s.close(errSilent, s.closeText(errSilent), true)
			return
		}
		// A client for which so much is queued should stop sending, so it gets no
		// acknowledgement.
		if queued, _ := s.tasks.Queued(); s.out.buffer != nil && int64(queued)+s.streams.held() <= dispatch.MaxQueued {
			s.out.buffer.acknowledge()
		}
		if pingInterval > 0 && !s.caller.info.NoPings && s.isPingDue(age, pingInterval) {
			// If the queue is full, the client does not need a ping.
			_ = s.out.conn.Send(s.out.wire.ping)
		}
	}
}
