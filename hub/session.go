package hub

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/protocol"
)

// phase is how far a session is.
type phase = int32

const (
	handshaking phase = iota // waits for the handshake
	answering                // the answer to it is being sent, under the lock
	connecting               // OnConnected runs
	open                     // messages are handled
	closing                  // a close message was sent, or the connection is gone
)

// Session is one client's conversation with a hub: a state machine without a
// goroutine of its own. The connection's reader drives it; methods run on goroutines
// that live as long as there is something to do and are waited for at the end.
type Session struct {
	// What sending needs comes first, side by side.
	conn           Connection
	wire           *wire          // nil until the handshake
	buffer         *messageBuffer // nil: what is sent is not kept; set by the handshake
	phase          atomic.Int32
	receiveStopped atomic.Bool // what comes in is dropped
	wasConnected   atomic.Bool // OnConnected succeeded
	draining       atomic.Bool // no new invocations are taken

	hub    *Hub
	id     string
	number uint64 // in the order in which the hub's sessions came
	info   ConnectInfo
	caller Caller
	ctx    context.Context         // of what runs for the client; carries the caller
	stop   context.CancelCauseFunc // ends ctx; see cancel
	begun  time.Time
	user   atomic.Pointer[auth.User] // with the freshest credentials

	input     input
	pace      pace
	keepAlive keepAlive
	groups    memberships
	running   sync.WaitGroup // every goroutine of the session, and that it is not concluded
	endings   endings        // of the ctxs of invocations

	mu      sync.Mutex // guards the following
	tasks   dispatchQueue
	streams map[string]*call  // streaming invocations by id
	uploads map[string]upload // uploaded streams by id
	// uploading are the uploads of the calls that run, those too that the client has ended.
	uploading map[upload]*call
	results   map[string]*pendingResult // results that the client owes
	budget    *uploadBudget             // nil: there was no upload yet
	items     *Items
	concluded bool // nothing is asked of the client any more
	refreshed refreshed

	place int // in the sweep, whose lock guards it; -1: in none
}

func newSession(h *Hub, c Connection, info ConnectInfo) *Session {
	s := &Session{hub: h, number: h.lastSession.Add(1), conn: c, id: c.ID(), info: info, begun: time.Now()}
	s.caller.session = s
	s.user.Store(info.User)
	parent := context.Background()
	if info.Context != nil {
		parent = context.WithoutCancel(info.Context)
	}
	ctx, cancel := context.WithCancelCause(parent)
	s.ctx, s.stop = callerContext{ctx, &s.caller}, cancel
	s.running.Add(1)
	return s
}

// callerContext is a context that carries a caller.
type callerContext struct {
	context.Context
	caller *Caller
}

func (c callerContext) Value(key any) any {
	if key == (callerKey{}) {
		return c.caller
	}
	return c.Context.Value(key)
}

// cancel ends the ctx of everything that runs for the client.
func (s *Session) cancel(cause error) {
	s.stop(cause)
	s.endings.closeAll()
}

func (s *Session) itemsOf() *Items {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items == nil {
		s.items = &Items{}
	}
	return s.items
}

// currentPhase tells how far the session is. A client that is just being answered is
// waited for: once it is known nothing is lost to it, but the answer comes first.
func (s *Session) currentPhase() phase {
	p := s.phase.Load()
	if p == answering {
		s.mu.Lock()
		defer s.mu.Unlock()
		p = s.phase.Load()
	}
	return p
}

// startClosing makes the session a closing one; it tells how far it was.
func (s *Session) startClosing() (was phase) {
	for {
		if was = s.currentPhase(); was == closing || s.phase.CompareAndSwap(was, closing) {
			return was
		}
	}
}

// send queues a frame without waiting. A client whose queue is full loses its
// connection.
func (s *Session) send(f *frame.Frame) {
	if s.currentPhase() == closing {
		return
	}
	if s.enqueueFrame(f) != nil {
		s.abortSlow()
	}
}

// abortSlow cuts a client that does not take what is sent to it. Of a connection that the
// session ended meanwhile, or is about to end, what is queued has to go out.
func (s *Session) abortSlow() {
	if s.phase.Load() != closing && !s.receiveStopped.Load() {
		s.conn.Abort(ErrSlowConsumer)
	}
}

func (s *Session) enqueueFrame(f *frame.Frame) error {
	if r := s.buffer; r != nil {
		return r.send(s.conn, f)
	}
	return s.conn.Send(f)
}

// sendWait queues a frame, waiting for room.
func (s *Session) sendWait(ctx context.Context, f *frame.Frame) error {
	if s.currentPhase() == closing {
		return errEnded
	}
	if r := s.buffer; r != nil {
		var err error
		if s.phase.Load() == connecting { // acknowledgements wait for OnConnected, so it must not wait for them
			err = r.send(s.conn, f)
		} else {
			err = r.sendWait(ctx, s.conn, f, s.hub.options.StatefulBufferSize)
		}
		if err != nil && ctx.Err() == nil {
			s.abortSlow() // it would wait for ever for what is left out
		}
		return err
	}
	return s.conn.SendWait(ctx, f)
}

// uncork is called before the reader waits for something that may wait for the client.
func (s *Session) uncork() {
	if c, ok := s.conn.(Uncorker); ok {
		c.Uncork()
	}
}

// sendOwn sends to the session's own client, from one of its methods.
func (s *Session) sendOwn(ctx context.Context, m *message) error {
	f, err := m.frame(s.wire)
	if err != nil {
		s.closeOnEncodeError(err)
		return err
	}
	return s.sendWait(ctx, f)
}

// closeOnEncodeError ends the session because something for its client cannot be encoded.
func (s *Session) closeOnEncodeError(err error) {
	s.log(slog.LevelError, "FailedWritingMessage", slog.Any("error", err))
	s.close(err, s.closeText(err), true)
}

func (s *Session) closeText(err error) string {
	return explain("Connection closed with an error.", err, s.hub.options.DetailedErrors)
}

// abort ends the session at the application's wish.
func (s *Session) abort() { s.close(ErrAborted, "", false) }

// close ends the session with a close message; only the first close counts. What is
// queued before it goes out, nothing behind it does.
func (s *Session) close(cause error, text string, allowReconnect bool) {
	switch was := s.startClosing(); was {
	case closing:
	case handshaking: // there is no protocol yet to say it in
		s.endSession(was, cause, nil)
	default:
		s.endSession(was, cause, s.wire.closing(text, allowReconnect))
	}
}

// endSession sends the last frame and ends the connection in order. What runs is told by its
// ctx; the rest is done beside, for what runs may be what ends it.
func (s *Session) endSession(was phase, cause error, last *frame.Frame) {
	s.endSessionBy(s.conn.Close, was, cause, last)
}

func (s *Session) endSessionBy(closeConnection func(error), was phase, cause error, last *frame.Frame) {
	s.receiveStopped.Store(true)
	if last != nil {
		// A full queue has no room for it; the connection ends without it.
		_ = s.conn.Send(last)
	}
	closeConnection(cause)
	s.cancel(cause)
	s.mu.Lock()
	s.tasks.dropAll()
	s.dispatchLocked()
	s.mu.Unlock()
	go s.conclude(was, cause)
}

// clientError is what a client says in its close message.
func clientError(m *protocol.Message) error {
	if m.Error == "" {
		return nil
	}
	return NewError(m.Error)
}
