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
	if s.phase.Load() == handshaking {
		if data = s.parseHandshake(data); len(data) == 0 {
			return nil
		}
	}
	if s.phase.Load() == connecting {
		if err := s.awaitOnConnected(len(data)); err != nil {
			return err
		}
	}
	switch s.phase.Load() {
	case connecting:
		s.bufferInput(data)
	case open:
		s.handleInput(data)
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

// awaitOnConnected blocks while OnConnected runs and n bytes more would be too many.
func (s *Session) awaitOnConnected(n int) error {
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

// handleInput handles the whole records of what came in and keeps the rest.
func (s *Session) handleInput(data []byte) {
	s.setBusy(true)
	defer s.setBusy(false)
	seen := len(s.input.partial)
	if seen > 0 {
		s.input.partial = append(s.input.partial, data...)
		data = s.input.partial
	}
	rest := s.handleRecords(data, seen)
	if s.receiveStopped.Load() || len(rest) == 0 {
		s.clearInput()
		return
	}
	if len(rest) < len(data) || len(s.input.partial) == 0 {
		s.input.partial = append(s.input.partial[:0], rest...)
	}
}

func (s *Session) bufferInput(data []byte) { s.input.partial = append(s.input.partial, data...) }

func (s *Session) clearInput() {
	s.input.partial = s.input.partial[:0]
	if cap(s.input.partial) > maxIdleInput {
		s.input.partial = nil
	}
}

// handleRecords handles whole records one after the other and returns what is left. The first seen bytes of data are an incomplete record.
func (s *Session) handleRecords(data []byte, seen int) (rest []byte) {
	m := messages.Get().(*protocol.Message)
	defer func() {
		*m = protocol.Message{Target: m.Target} // most messages have that of the last one
		messages.Put(m)
	}()
	for len(data) > 0 && !s.receiveStopped.Load() {
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
func (s *Session) fault(err error) { s.closeOnClientError(err, true) }

// closeOnClientError ends the session for what the client sent, once what came before is answered.
func (s *Session) closeOnClientError(err error, allowReconnect bool) {
	s.stopReceiving()
	s.log(slog.LevelDebug, "ErrorProcessingRequest", slog.Any("error", err))
	s.runInOrder(0, func() { s.close(err, s.closeText(err), allowReconnect) })
}

// stopReceiving drops what still comes in, acknowledgements too.
func (s *Session) stopReceiving() {
	s.receiveStopped.Store(true)
	if s.buffer != nil {
		s.buffer.stopAcks()
	}
}

// receiveCompletion takes a completion: the answer to a question, or the end of an upload.
func (s *Session) receiveCompletion(m *protocol.Message) {
	if s.completePending(m) {
		return
	}
	err := m.Settle(protocol.ErrUnknown)
	if errors.Is(err, protocol.ErrUnknown) {
		err = s.hub.pendingResults.wrongOwner(s, m.InvocationID)
	}
	if err != nil {
		s.fault(err)
		return
	}
	s.endUpload(m)
}

// handle does what a message asks for. size is that of its record.
func (s *Session) handle(m *protocol.Message, size int) {
	if r := s.buffer; r != nil && !r.isNew(m.Type) {
		return
	}
	if m.Type == protocol.Invocation || m.Type == protocol.StreamInvocation {
		s.receiveInvocation(m, size)
		return
	}
	s.yield()
	switch m.Type {
	case protocol.StreamItem:
		s.receiveItem(m)
	case protocol.Completion:
		s.receiveCompletion(m)
	case protocol.CancelInvocation:
		s.receiveCancel(m.InvocationID)
	case protocol.Ping:
		s.keepAlive.pinged()
	case protocol.Close:
		s.stopReceiving()
		cause := clientError(m)
		s.runInOrder(0, func() { s.close(cause, "", false) })
	case protocol.Ack:
		if s.buffer != nil {
			s.buffer.acknowledged(m.SequenceID)
		}
	case protocol.Sequence:
		if s.buffer == nil {
			return
		}
		if err := s.buffer.sequence(m.SequenceID); err != nil {
			s.fault(err)
		}
	default:
		// Types that do not exist are ignored.
	}
}
