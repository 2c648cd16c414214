package hub

import (
	"sync"
	"sync/atomic"
)

// phase is the progress of a session. It never goes back.
type phase = int32

const (
	handshaking phase = iota // waits for the handshake
	answering                // the handshake response is being queued, with the lock held
	connecting               // OnConnected runs
	open                     // messages are handled
	draining                 // messages are handled, but new invocations are ignored
	finishing                // received data is dropped; earlier invocations are still answered
	closing                  // a close message was sent, or the connection has ended
)

// lifecycle is the phase of a session. It is safe for concurrent use.
type lifecycle struct {
	atomic.Int32
	answer sync.Mutex // held during answering
}

// current returns the phase. During answering it waits until the handshake response is
// queued: the client is registered then and must not miss a message, but no message may
// precede the response.
func (l *lifecycle) current() phase {
	p := l.Load()
	if p == answering {
		l.answer.Lock()
		defer l.answer.Unlock()
		p = l.Load()
	}
	return p
}

// answerHandshake passes from handshaking through answering, while it runs f, to next. It
// returns false, without running f, if the session has ended.
func (l *lifecycle) answerHandshake(next phase, f func()) bool {
	l.answer.Lock()
	defer l.answer.Unlock()
	if !l.CompareAndSwap(handshaking, answering) {
		return false
	}
	f()
	l.Store(next)
	return true
}

// startDraining passes from open to draining.
func (l *lifecycle) startDraining() { l.CompareAndSwap(open, draining) }

// stopReceiving passes from open or draining to finishing.
func (l *lifecycle) stopReceiving() {
	if !l.CompareAndSwap(open, finishing) {
		l.CompareAndSwap(draining, finishing)
	}
}

// startClosing passes to closing and returns the previous phase.
func (l *lifecycle) startClosing() (was phase) {
	for {
		if was = l.current(); was == closing || l.CompareAndSwap(was, closing) {
			return was
		}
	}
}

// isReceiving reports whether messages are handled.
func (l *lifecycle) isReceiving() bool {
	p := l.Load()
	return p == open || p == draining
}
