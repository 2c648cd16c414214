package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

const handshakeCanceled = "Handshake was canceled."

var errNoHandshake = errors.New("hub: no handshake")

// opening is the beginning of a session: from the handshake until OnConnected has returned.
type opening struct {
	session   *Session
	ready     chan struct{} // closed when OnConnected has returned; nil if it does not run
	connected atomic.Bool   // OnConnected succeeded
	logged    bool          // the log has a line for the beginning of the connection
}

// parseLocked buffers data until the handshake is complete, answers it, and returns the data
// after it.
func (o *opening) parseLocked(data []byte) (rest []byte) {
	s := o.session
	seen := len(s.input.partial)
	s.input.appendLocked(data)
	record, rest, err := protocol.NextHandshake(s.input.partial, seen, s.hub.options.MaxMessageSize)
	switch {
	case err != nil:
		s.log().refusal(&s.hub.refused.messages, "length of the handshake")
		o.refuse(handshakeCanceled)
	case record == nil:
		return nil
	default:
		request, err := protocol.ParseHandshakeRequest(record)
		if err != nil {
			o.refuse(explain("An unexpected error occurred during connection handshake.", err, s.hub.options.DetailedErrors))
			return nil
		}
		if s.hub.options.Relay != nil {
			o.relay(request, s.input.partial[:len(record)+1])
		} else {
			o.accept(request)
		}
	}
	// The rest is copied because it is part of the buffer that it will be stored in.
	rest = append([]byte(nil), rest...)
	s.input.clearLocked()
	return rest
}

// accept answers a well-formed handshake.
func (o *opening) accept(r protocol.HandshakeRequest) {
	s := o.session
	w := s.hub.wireNamed(r.Protocol)
	switch {
	case w == nil:
		o.refuse(fmt.Sprintf("The protocol '%s' is not supported.", r.Protocol))
	case r.Version > protocol.MaxVersion:
		o.refuse(fmt.Sprintf("The server does not support version %d of the '%s' protocol.", r.Version, r.Protocol))
	case w.Binary() && !s.caller.info.Binary:
		o.refuse(fmt.Sprintf("Cannot use the '%s' protocol on the current transport. The transport does not support 'Binary' transfer format.", w.Name()))
	default:
		if s.caller.info.StatefulReconnect {
			s.out.acceptStatefulReconnect(r.Version, w, s.hub.options.StatefulBufferSize)
		}
		s.out.wire = w
		o.connect(w.handshakeResponse)
	}
}

func (h *Hub) wireNamed(name string) *wire {
	for _, w := range h.wires {
		if fold.Equal(w.Name(), name) {
			return w
		}
	}
	return nil
}

// refuse answers the handshake with an error and ends the session.
func (o *opening) refuse(text string) {
	s := o.session
	if s.out.phase.CompareAndSwap(handshaking, closing) {
		s.log().debug("handshake failed", slog.String("reason", text))
		s.endSession(handshaking, errNoHandshake, frame.New(protocol.AppendHandshakeResponse(nil, text), false), false)
	}
}

// connect adds the client to the hub, answers its handshake with response, and runs OnConnected
// concurrently with the reader. The wire of the client must be set.
func (o *opening) connect(response *frame.Frame) {
	s := o.session
	next, groups := open, []string(nil)
	if s.hub.onConnected != nil || s.hub.hasConnectFilter || s.hub.backplane != nil {
		next = connecting
		o.ready = make(chan struct{})
	}
	o.connected.Store(next == open)
	if !s.out.phase.answerHandshake(next, func() {
		if s.hub.backplane != nil {
			s.hub.joining.begin(s)
		}
		s.hub.local.membersOf(s).add(s)
		join := func(group string) { // before OnConnected, which may send to it
			if joined, _ := s.hub.local.join(s, group); joined {
				groups = append(groups, group)
			}
		}
		for _, group := range s.caller.info.Groups {
			join(group)
		}
		s.hub.userGroups.each(s.caller.UserID(), join)
		if h := s.hub.local.history; h != nil && s.out.wire.events {
			response = frame.NewEvent(h.streamStartLocked(&s.caller))
		}
		// If Send fails, the connection has ended and Disconnected will be called.
		_ = s.out.conn.Send(response)
		o.logged = s.log().opened() // with the lock: Disconnected may run as soon as the handshake is answered
		if next == connecting {
			s.tasks.StartConcurrent(0)
		}
	}) {
		return // the session has ended
	}
	if next == connecting {
		go o.run(groups)
	}
}

type connectKey struct{}

// run joins the backplane, runs OnConnected, and then handles the messages received in the
// meantime. groups are the groups that the client has been in since the handshake.
func (o *opening) run(groups []string) {
	s := o.session
	defer s.tasks.EndConcurrent(0)
	err, callback := guard.ErrGoexit, "Backplane.Join"
	defer func() { o.finish(err, callback) }()
	if s.hub.backplane != nil {
		if err = s.hub.join(s, groups); err != nil {
			return
		}
	}
	err, callback = guard.ErrGoexit, "OnConnected"
	err = s.hub.runOnConnected(context.WithValue(s.ctx, connectKey{}, s))
}

// finish opens the session after OnConnected, or ends it if a callback failed.
func (o *opening) finish(err error, callback string) {
	s := o.session
	if err != nil {
		s.log().failure(s.ctx, callbackFailures, "callback", callback, err)
		s.close(err, s.closeText(err), false)
	} else {
		s.refreshed.begin(s)
	}
	s.input.mu.Lock()
	defer s.input.mu.Unlock()
	defer close(o.ready)
	if s.out.phase.CompareAndSwap(connecting, open) {
		if s.tasks.IsDraining() { // since before the phase was open
			s.out.phase.startDraining()
		}
		s.handleInput(s.input.takeBacklogLocked())
	}
}

// runOnConnected calls OnConnected within the filters. It returns a panic as an error.
func (h *Hub) runOnConnected(ctx context.Context) (err error) {
	defer guard.Recover(&err)
	return filteredConnect(ctx, h.options.Filters, func(ctx context.Context) error {
		if h.onConnected == nil {
			return nil
		}
		return h.onConnected(ctx)
	})
}
