package hub

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/carillon-go/carillon/protocol"
)

// input is what came in and is not handled yet.
type input struct {
	mu      sync.Mutex
	partial []byte        // the begin of a record; while OnConnected runs, what came meanwhile
	ready   chan struct{} // closed when OnConnected is through; nil if there is nothing to wait for
	started bool          // methods were, since giveWay
}

// maxBacklog is how much may come in while OnConnected runs, and wait for its turn
// afterwards, before nothing more is read; the original's buffer for what comes in.
const maxBacklog = 65536

// maxIdleInput is the largest buffer that an idle session keeps.
const maxIdleInput = 4096

// messages are what records are parsed into.
var messages = sync.Pool{New: func() any { return new(protocol.Message) }}

// Receive takes what the client sent, in order. data is only valid during the call,
// which blocks while the client is ahead of its methods by more than is buffered. An
// error means that the connection has ended; violations of the protocol are none,
// the session answers them and ends.
func (s *Session) Receive(data []byte) error {
	s.input.mu.Lock()
	defer s.input.mu.Unlock()
	if s.phase.Load() == shaking {
		if data = s.shake(data); len(data) == 0 {
			return nil
		}
	}
	if s.phase.Load() == connecting {
		if err := s.await(len(data)); err != nil {
			return err
		}
	}
	switch s.phase.Load() {
	case connecting:
		s.keep(data)
	case open:
		s.take(data)
	}
	return s.ended()
}

// ended tells the reader that nobody listens to it any more.
func (s *Session) ended() error {
	if s.conn.Context().Err() != nil {
		return errEnded
	}
	return nil
}

// await blocks while OnConnected runs and n bytes more would be too many.
func (s *Session) await(n int) error {
	if len(s.input.partial) == 0 || len(s.input.partial)+n <= maxBacklog {
		return nil
	}
	s.uncork()
	ready := s.input.ready
	s.input.mu.Unlock()
	defer s.input.mu.Lock()
	select {
	case <-ready:
		return nil
	case <-s.conn.Context().Done():
		return errEnded
	}
}

// take handles the whole records of what came in and keeps the rest.
func (s *Session) take(data []byte) {
	s.taking(true)
	defer s.taking(false)
	seen := len(s.input.partial)
	if seen > 0 {
		s.input.partial = append(s.input.partial, data...)
		data = s.input.partial
	}
	rest := s.records(data, seen)
	if s.deaf.Load() || len(rest) == 0 {
		s.forget()
		return
	}
	if len(rest) < len(data) || len(s.input.partial) == 0 {
		s.input.partial = append(s.input.partial[:0], rest...)
	}
}

func (s *Session) keep(data []byte) { s.input.partial = append(s.input.partial, data...) }

func (s *Session) forget() {
	s.input.partial = s.input.partial[:0]
	if cap(s.input.partial) > maxIdleInput {
		s.input.partial = nil
	}
}

// records handles whole records one after the other and returns what is left. The first seen bytes of data are an incomplete record.
func (s *Session) records(data []byte, seen int) (rest []byte) {
	m := messages.Get().(*protocol.Message)
	defer func() {
		*m = protocol.Message{Target: m.Target} // most messages have that of the last one
		messages.Put(m)
	}()
	for len(data) > 0 && !s.deaf.Load() {
		record, rest, err := protocol.NextAfter(s.wire.HubProtocol, data, seen, s.hub.options.MaxMessageSize)
		if err == nil && record == nil {
			break
		}
		if err == nil {
			err = s.wire.Parse(record, m)
		} else {
			s.exceeded(&s.hub.refused.messages, "length of a message")
		}
		if err != nil {
			s.fault(err)
			break
		}
		s.handle(m, len(data)-len(rest))
		data, seen = rest, 0
	}
	return data
}

// fault ends the session for a violation of the protocol, once what came before is
// answered.
func (s *Session) fault(err error) { s.offended(err, true) }

// offended ends the session for what the client sent, once what came before is answered.
func (s *Session) offended(err error, allowReconnect bool) {
	s.hearNoMore()
	s.log(slog.LevelDebug, "ErrorProcessingRequest", slog.Any("error", err))
	s.inTurn(0, func() { s.close(err, s.closeText(err), allowReconnect) })
}

// hearNoMore drops what still comes in, acknowledgements too.
func (s *Session) hearNoMore() {
	s.deaf.Store(true)
	if s.stateful != nil {
		s.stateful.giveUp()
	}
}

// completed takes a completion: the answer to a question, or the end of an upload.
func (s *Session) completed(m *protocol.Message) {
	if s.answered(m) {
		return
	}
	err := m.Settle(protocol.ErrUnknown)
	if errors.Is(err, protocol.ErrUnknown) {
		err = s.hub.questions.foreign(s, m.InvocationID)
	}
	if err != nil {
		s.fault(err)
		return
	}
	s.uploadEnded(m)
}

// handle does what a message asks for. size is that of its record.
func (s *Session) handle(m *protocol.Message, size int) {
	if r := s.stateful; r != nil && !r.isNew(m.Type) {
		return
	}
	if m.Type == protocol.Invocation || m.Type == protocol.StreamInvocation {
		s.invoked(m, size)
		return
	}
	s.giveWay()
	switch m.Type {
	case protocol.StreamItem:
		s.uploaded(m)
	case protocol.Completion:
		s.completed(m)
	case protocol.CancelInvocation:
		s.cancelled(m.InvocationID)
	case protocol.Ping:
		s.keepAlive.pinged()
	case protocol.Close:
		s.hearNoMore()
		cause := clientError(m)
		s.inTurn(0, func() { s.close(cause, "", false) })
	case protocol.Ack:
		if s.stateful != nil {
			s.stateful.acknowledged(m.SequenceID)
		}
	case protocol.Sequence:
		if s.stateful == nil {
			return
		}
		if err := s.stateful.sequence(m.SequenceID); err != nil {
			s.fault(err)
		}
	default:
		// Types that do not exist are ignored.
	}
}
