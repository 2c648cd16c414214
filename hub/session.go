package hub

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/dispatch"
	"github.com/carillon-go/carillon/internal/limit"
)

// Session is one client's conversation with a hub. It is a state machine without a
// goroutine of its own: the connection's reader drives it. Methods run on goroutines that
// end when they have no more work; Disconnected waits for all of them.
type Session struct {
	// The fields that sending needs are first, next to each other.
	out outbox

	hub    *Hub
	number uint32 // the session's rank by start among those of the hub; it only sorts them, so it may overflow
	place  int32  // index in the sweep, guarded by the sweep's lock; -1: not in it
	caller Caller
	ctx    context.Context         // of everything that runs for the client; carries the caller
	stop   context.CancelCauseFunc // ends ctx; see cancel

	opening   opening
	input     inbox
	pace      limit.Budget // of invocations, by the session's age; for the reader only
	liveness  liveness
	groups    memberships
	tasks     dispatch.Dispatcher
	streams   streams
	results   pendingResults
	endings   endings // end the contexts of invocations
	refreshed refreshed
	relayed   atomic.Pointer[Relayed] // nil: the hub itself handles the client's data
}

func newSession(h *Hub, c Connection, info ConnectInfo) *Session {
	s := &Session{hub: h, number: h.lastSession.Add(1), out: outbox{conn: c}}
	s.opening.session = s
	s.caller.session, s.caller.id, s.caller.info, s.caller.begun = s, c.ID(), info, time.Now()
	s.caller.user.Store(info.User)
	parent := context.Background()
	if info.Context != nil {
		parent = context.WithoutCancel(info.Context)
	}
	ctx, cancel := context.WithCancelCause(parent)
	s.ctx, s.stop = callerContext{ctx, &s.caller}, cancel
	s.tasks.Pool = h.sessions.workers
	s.tasks.Running.Add(1) // until conclude has returned
	return s
}

// callerContext is a context that carries a caller.
type callerContext struct {
	context.Context
	caller *Caller
}

func (c callerContext) Value(key any) any {
	switch key.(type) {
	case callerKey:
		return c.caller
	case auth.RequestKey:
		return c.caller.Request()
	}
	return c.Context.Value(key)
}

// cancel ends the contexts of everything that runs for the client.
func (s *Session) cancel(cause error) {
	s.stop(cause)
	s.endings.closeAll()
}

// maxWaitingStateful is the limit in bytes of queued tasks of a client with stateful
// reconnect. It is read further than others, because methods may wait for its
// acknowledgements. Above the limit of others it gets no more acknowledgements itself, so it
// stops sending; at this one the reader stops too.
const maxWaitingStateful = 1 << 20

// enqueue appends a task to the queue. It blocks the reader while the queue is over its
// limit.
func (s *Session) enqueue(t *dispatch.Task) {
	limit := dispatch.MaxQueued
	if s.out.buffer != nil {
		limit = maxWaitingStateful
	}
	if room := s.tasks.Enqueue(t, limit); room != nil {
		s.await(room)
	}
}

// runInOrder runs do after each earlier invocation has started and has either ended or run
// for dispatch.OvertakeAfter. If the queue is idle and the reader may block, that is, without
// stateful reconnect, it runs do synchronously. size is that of the record, in bytes.
func (s *Session) runInOrder(size int, do func()) {
	if s.out.buffer == nil && s.tasks.IsIdle() {
		do()
		return
	}
	s.enqueue(dispatch.NewOrdered(do, size))
}

// await blocks the reader until ready is closed. It returns false if the session ends
// first.
func (s *Session) await(ready <-chan struct{}) bool {
	s.out.uncork()
	select {
	case <-ready:
		return true
	case <-s.ctx.Done():
	case <-s.out.conn.Context().Done():
	}
	return false
}

// closeOnEncodeError ends the session because a message for its client cannot be encoded:
// an invocation of method, or a result or an item of it.
func (s *Session) closeOnEncodeError(err error, method string) {
	s.log().failure(s.ctx, encodingFailures, "method", method, err)
	s.close(err, s.closeText(err), true)
}

func (s *Session) closeText(err error) string {
	return explain("Connection closed with an error.", err, s.hub.options.DetailedErrors)
}

// abort ends the session on behalf of the application.
func (s *Session) abort() { s.close(ErrAborted, "", false) }

// close ends the session with a close message. Only the first call counts. Frames queued
// earlier are sent; later ones are not.
func (s *Session) close(cause error, text string, allowReconnect bool) {
	switch was := s.out.phase.startClosing(); was {
	case closing:
	case handshaking: // no protocol is chosen yet, so there is no close message
		s.endSession(was, cause, nil, false)
	default:
		s.endSession(was, cause, s.out.wire.closing(text, allowReconnect), false)
	}
}

// endSession sends the last frame, if any, and closes the connection in order; with hangUp it
// leaves out a closing handshake. It cancels the contexts of everything that runs. The rest
// happens concurrently, because the caller may itself be something that runs for the session.
func (s *Session) endSession(was phase, cause error, last *frame.Frame, hangUp bool) {
	if last != nil {
		// If the queue is full, the connection ends without the last frame.
		_ = s.out.conn.Send(last)
	}
	if c, ok := s.out.conn.(Hanger); ok && hangUp {
		c.HangUp(cause)
	} else {
		s.out.conn.Close(cause)
	}
	s.cancel(cause)
	s.tasks.DropAll()
	go s.conclude(was, cause)
}
