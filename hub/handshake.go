package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

const handshakeCanceled = "Handshake was canceled."

var errNoHandshake = errors.New("hub: no handshake")

// parseHandshake buffers data until the handshake is complete, answers it, and returns
// the data after it.
func (s *Session) parseHandshake(data []byte) (rest []byte) {
	seen := len(s.input.partial)
	s.input.appendLocked(data)
	record, rest, err := protocol.NextHandshake(s.input.partial, seen, s.hub.options.MaxMessageSize)
	switch {
	case err != nil:
		s.log().refusal(&s.hub.refused.messages, "length of the handshake")
		s.refuseHandshake(handshakeCanceled)
	case record == nil:
		return nil
	default:
		request, err := protocol.ParseHandshakeRequest(record)
		if err != nil {
			s.refuseHandshake(explain("An unexpected error occurred during connection handshake.", err, s.hub.options.DetailedErrors))
			return nil
		}
		s.acceptHandshake(request)
	}
	// The rest is copied because it is part of the buffer that it will be stored in.
	rest = append([]byte(nil), rest...)
	s.input.clearLocked()
	return rest
}

// acceptHandshake answers a well-formed handshake.
func (s *Session) acceptHandshake(r protocol.HandshakeRequest) {
	w := s.hub.wireNamed(r.Protocol)
	switch {
	case w == nil:
		s.refuseHandshake(fmt.Sprintf("The protocol '%s' is not supported.", r.Protocol))
	case r.Version > protocol.MaxVersion:
		s.refuseHandshake(fmt.Sprintf("The server does not support version %d of the '%s' protocol.", r.Version, r.Protocol))
	case w.Binary() && !s.caller.info.Binary:
		s.refuseHandshake(fmt.Sprintf("Cannot use the '%s' protocol on the current transport. The transport does not support 'Binary' transfer format.", w.Name()))
	default:
		s.acceptStatefulReconnect(r.Version, w)
		s.connect(w)
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

// refuseHandshake answers the handshake with an error and ends the session.
func (s *Session) refuseHandshake(text string) {
	if s.out.phase.CompareAndSwap(handshaking, closing) {
		s.log().debug("handshake failed", slog.String("reason", text))
		s.endSession(handshaking, errNoHandshake, frame.New(protocol.AppendHandshakeResponse(nil, text), false))
	}
}

// connect answers the handshake and runs OnConnected concurrently with the reader.
func (s *Session) connect(w *wire) {
	s.out.wire = w
	next := open
	if s.hub.hasOnConnected() {
		next = connecting
		s.input.ready = make(chan struct{})
	}
	s.wasConnected.Store(next == open)
	if !s.register(next) {
		return
	}
	s.logged = s.log().opened()
	if next == connecting {
		s.tasks.startConcurrent(0)
		go s.runOnConnected()
	}
}

// register adds the client to the lifetime and answers its handshake. It returns false if
// the session has ended.
func (s *Session) register(next phase) bool {
	return s.out.phase.answerHandshake(next, func() {
		s.hub.lifetime.Connected(s)
		for _, group := range s.caller.info.Groups { // before OnConnected, which may send to them
			_ = s.hub.lifetime.Add(s.ctx, s.caller.id, group) // a connection of this process exists
		}
		// If Send fails, the connection has ended and Disconnected will be called.
		_ = s.out.conn.Send(s.handshakeResponse())
	})
}

// hasOnConnected reports whether application code runs when a client connects.
func (h *Hub) hasOnConnected() bool {
	for _, f := range h.options.Filters {
		if f.Connect != nil {
			return true
		}
	}
	return h.onConnected != nil
}

// runOnConnected runs OnConnected, then handles the messages received in the meantime.
func (s *Session) runOnConnected() {
	defer s.tasks.endConcurrent(0)
	err := guard.ErrGoexit
	defer func() { s.finishOnConnected(err) }()
	err = s.callOnConnected()
}

// finishOnConnected opens the session after OnConnected, or ends it if OnConnected
// failed.
func (s *Session) finishOnConnected(err error) {
	if err != nil {
		s.log().failure(s.ctx, callbackFailures, "callback", "OnConnected", err)
		s.close(err, s.closeText(err), false)
	} else {
		s.noteConnected()
	}
	s.input.mu.Lock()
	defer s.input.mu.Unlock()
	defer close(s.input.ready)
	if s.out.phase.CompareAndSwap(connecting, open) {
		if s.tasks.isDraining() { // since before the phase was open
			s.out.phase.startDraining()
		}
		s.handleInput(s.input.takeBacklogLocked())
	}
}

// noteConnected records that OnConnected has succeeded.
func (s *Session) noteConnected() {
	s.refreshed.mu.Lock()
	defer s.refreshed.mu.Unlock()
	s.wasConnected.Store(true)
	s.startRefreshedLocked()
}

type connectKey struct{}

// callOnConnected calls OnConnected within the filters. It returns a panic as an error.
func (s *Session) callOnConnected() (err error) {
	defer guard.Recover(&err)
	ctx := context.WithValue(s.ctx, connectKey{}, s)
	return filteredConnect(ctx, s.hub.options.Filters, func(ctx context.Context) error {
		if s.hub.onConnected == nil {
			return nil
		}
		return s.hub.onConnected(ctx)
	})
}

// handshakeResponse returns the first frame for a client.
func (s *Session) handshakeResponse() *frame.Frame {
	if h := s.hub.local.history; h != nil && s.caller.info.Listens {
		return frame.NewEvent(h.streamStartLocked(&s.caller))
	}
	return s.out.wire.handshakeResponse
}
