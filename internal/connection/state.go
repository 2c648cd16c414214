package connection

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// state is how far a connection has come. It only grows.
type state uint8

const (
	negotiated state = iota // no request has opened it
	open                    // it accepts frames
	closing                 // it accepts no more frames; queued ones are still sent
	sent                    // as closing, and the carrier has taken all frames
	ended                   // it has no carrier; the application may still run
	forgotten               // the application has returned, too
)

// lifecycle is the state of a connection, with the circumstances of its end. The lock of
// outbound guards it. It is as small as a word, because Send reads it.
type lifecycle struct {
	state      state
	resumable  bool // the connection outlives its requests
	leaving    bool // the connection ends with the answer to the pending poll
	closed     bool // Close was called before the carrier ended
	hangsUp    bool // see HangUp
	serverEnds bool // the server is shutting down
	notified   bool // Disconnected has returned
}

// advance is the only function that changes the state. It reports false if the connection has
// come as far already.
func (l *lifecycle) advance(to state) bool {
	if l.state >= to {
		return false
	}
	l.state = to
	return true
}

// isClosing reports whether the connection has been closed, and its carrier has not ended.
func (l *lifecycle) isClosing() bool { return l.state == closing || l.state == sent }

// HangsUp reports whether HangUp was called.
func (o *outbound) HangsUp() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hangsUp
}

// isCurrent reports whether a request belongs to the current carrier.
func (o *outbound) isCurrent(number int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.isCurrentLocked(number)
}

func (o *outbound) isCurrentLocked(number int) bool {
	return !o.resumable || number == o.resumption
}

// isIdle reports whether no request holds the connection now.
func (o *outbound) isIdle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kind == transports.LongPolling || !o.left.IsZero() // long-polling requests come and go
}

func (o *outbound) isOverdue(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.isOverdueLocked(now)
}

const (
	// absence is the time for which a shutdown waits for the next poll of a long-polling
	// client. A connected client polls again at once.
	absence = 2 * time.Second
	// farewell is the time for which it waits for one more poll after the poll that fetched
	// the application's final message. The .NET client sends that poll at once, concurrently
	// with reading the message, and takes a 404 for a failure.
	farewell = time.Second
)

// isOverdueLocked reports whether the connection has been without a request for too long.
func (o *outbound) isOverdueLocked(now time.Time) bool {
	limit := o.registry.options.DisconnectTimeout
	if o.serverEnds && o.kind == transports.LongPolling && o.isClosing() {
		limit = min(limit, absence)
		if len(o.queue.frames) == 0 {
			limit = min(limit, farewell)
		}
	}
	return !o.left.IsZero() && now.Sub(o.left) > limit
}

// ageLocked returns the time since the opening.
func (o *outbound) ageLocked() time.Duration { return time.Since(o.registry.begun) - o.opened }

// awaitEndOfStream waits, if everything was sent over an event stream, until the client has
// read that and the connection has ended, or until ctx ends. It reports whether the
// connection is forgotten then. Requests are answered 404 afterwards, as in ASP.NET Core. An
// earlier answer to a POST would make the .NET client discard the last messages.
func (o *outbound) awaitEndOfStream(ctx context.Context) (forgotten bool) {
	o.mu.Lock()
	if o.kind != transports.ServerSentEvents || o.state != sent {
		o.mu.Unlock()
		return false
	}
	changed := o.changed.Wait()
	o.mu.Unlock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.notified
}
