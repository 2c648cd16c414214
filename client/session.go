package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

// session is a conversation on one carrier, or with stateful reconnect on one after the other: the
// handshake, then hub messages in both directions. It has a goroutine that reads, one that writes,
// and one that checks the time limits. wait returns when they have ended.
type session struct {
	run       *run
	transport Transport
	target    target
	protocol  protocol.HubProtocol
	options   *Options

	ctx    context.Context // ends, with the cause, when the session ends
	cancel context.CancelCauseFunc
	out    *outbox
	calls  *calls
	reopen func(context.Context) (carrier, error) // connects another carrier; nil: not possible

	handshakeResult chan error    // receives one value
	active          chan struct{} // closed when hub messages may be handled
	received        chan struct{} // closed when the carrier delivers no more data
	written         chan struct{} // closed when nothing more is written
	work            sync.WaitGroup

	life  liveness
	pacer pacer

	// Only the reader uses these.
	handshaken bool
	violated   bool // the server sent invalid data
	replayDue  bool // the next data are the first of a new carrier
	rest       incomplete
	message    protocol.Message
}

func (r *run) newSession(c carrier, transport Transport, t target) *session {
	s := &session{
		run: r, transport: transport, target: t, life: liveness{began: time.Now(), options: &r.conn.options},
		protocol: r.conn.options.Protocol, options: &r.conn.options,
		out: newOutbox(c), calls: newCalls(),
		handshakeResult: make(chan error, 1), active: make(chan struct{}), received: make(chan struct{}), written: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(r.ctx))
	if slices.Contains(t.stateful, transport) {
		s.makeStateful(t)
	}
	s.pacer.began = s.life.began
	s.work.Go(func() { s.read(c) })
	s.work.Go(s.write)
	return s
}

// handshake requests our hub protocol and waits for the response. It then sends a ping before
// anything else can be sent: as in the JavaScript client, that starts the server's client timeout.
func (s *session) handshake(ctx context.Context) error {
	version := 1
	if s.reopen != nil {
		version = protocol.MaxVersion
	}
	s.out.addControl(protocol.AppendHandshakeRequest(nil, protocol.HandshakeRequest{Protocol: s.protocol.Name(), Version: version}))
	if err := s.answer(ctx); err != nil {
		return err
	}
	if s.hasPings() {
		s.out.addControl(s.protocol.AppendPing(nil))
	}
	return nil
}

// answer waits for the response to the handshake.
func (s *session) answer(ctx context.Context) error {
	select {
	case err := <-s.handshakeResult:
		return err
	case <-s.ctx.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case err := <-s.handshakeResult: // refused, and then closed at once
		return err
	default:
		return fmt.Errorf("client: the connection ended during the handshake: %w", context.Cause(s.ctx))
	}
}

// activate starts the handling of hub messages.
func (s *session) activate() {
	if s.hasPings() {
		s.work.Go(s.watch)
	}
	if s.options.refreshesItself() && !s.target.expires.IsZero() {
		s.work.Go(s.refreshBeforeEnd)
	}
	close(s.active)
}

// hasPings reports whether pings are used. A poll is answered when there are data and has its own
// time limit.
func (s *session) hasPings() bool { return s.transport != LongPolling }

// end ends the session with a cause. Only the first call counts.
func (s *session) end(cause error) {
	s.out.close(fmt.Errorf("%w: %w", ErrNotConnected, cause), nil)
	s.cancel(cause)
}

// wait returns the cause of the end when everything of the session except its uploads has ended. If
// stop ends first, wait ends the session in order.
func (s *session) wait(stop context.Context) error {
	select {
	case <-s.ctx.Done():
		if _, ok := errors.AsType[*CloseError](context.Cause(s.ctx)); ok { // the carrier can be closed in order
			s.closeCarrier(s.options.closing(s.ctx))
		}
	case <-stop.Done():
		s.closeGracefully(context.Cause(stop))
	}
	cause := context.Cause(s.ctx)
	s.abort(cause)
	return cause
}

// closeGracefully sends the server a close message and closes the carrier.
func (s *session) closeGracefully(cause error) {
	s.run.conn.enter(s.run, StateChange{To: Disconnecting})
	s.calls.failAll(cause)
	ctx, cancel := s.options.closing(s.ctx)
	s.out.close(fmt.Errorf("%w: %w", ErrNotConnected, cause), s.protocol.AppendClose(nil, "", false))
	_ = await(ctx, s.written)
	s.closeCarrier(ctx, cancel)
	s.end(cause)
}

func (s *session) closeCarrier(ctx context.Context, cancel context.CancelFunc) {
	defer cancel()
	s.out.current().Close(ctx)
	_ = await(ctx, s.received)
}

// abort cuts the session and waits for its goroutines.
func (s *session) abort(cause error) {
	s.end(cause)
	s.out.current().Abort()
	s.calls.failAll(cause)
	s.work.Wait()
}

func (s *session) read(c carrier) {
	defer close(s.received)
	err := c.Receive(s.receive)
	for !s.violated && s.mayResume(err) {
		s.pacer.noteBusy(err)
		next, failure := s.resume(c)
		if failure != nil {
			err = fmt.Errorf("%w; it could not be resumed: %w", err, failure)
			break
		}
		c, err = next, next.Receive(s.receive)
	}
	switch {
	case err == nil && s.handshaken:
		err = errEnded
	case err == nil: // the handshake was not complete
		err = io.ErrUnexpectedEOF
	}
	s.end(err)
}

func (s *session) write() {
	defer close(s.written)
	for batch, to := s.out.next(s.ctx); batch != nil; batch, to = s.out.next(s.ctx) {
		err := to.Send(s.ctx, batch)
		switch {
		case err == nil:
			s.life.noteSent()
		case s.out.isStale(to): // its records are sent again
		case s.mayResume(err):
			s.pacer.noteBusy(err)
			s.out.interrupt(to)
			to.Abort() // the reader notices that
		default:
			s.awaitReason(err)
			s.end(err)
			return
		}
	}
}

// awaitReason waits for the reader if it may know a better cause. A server that ended the
// connection answers 404 to later requests and reports the cause in the other direction. A
// WebSocket that cannot be written to may still have data to read: the reader finds its end.
func (s *session) awaitReason(err error) {
	if s.transport != WebSockets && statusOf(err) != http.StatusNotFound {
		return
	}
	ctx, cancel := s.options.closing(s.ctx)
	defer cancel()
	_ = await(ctx, s.ctx.Done())
}
