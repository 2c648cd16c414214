package hub

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/carillon-go/carillon/protocol"
)

// messages are reused for parsing records.
var messages = sync.Pool{New: func() any { return new(protocol.Message) }}

// Receive handles data from the client, in order. data is only valid during the call.
// Receive blocks while more invocations are waiting than may be buffered. An error means
// that the connection has ended. A violation of the protocol is not an error: the session
// answers it and ends.
func (s *Session) Receive(data []byte) error {
	s.input.mu.Lock()
	defer s.input.mu.Unlock()
	s.input.received += int64(len(data))
	if s.relayed.Load() == nil && s.out.phase.Load() == handshaking {
		if data = s.opening.parseLocked(data); len(data) == 0 {
			return nil
		}
	}
	if r := s.relayed.Load(); r != nil {
		s.receiveRelayed(r, data)
	} else {
		s.receiveLocked(data)
	}
	if s.out.hasEnded() {
		return errEnded
	}
	return nil
}

// receiveLocked handles data after the handshake.
func (s *Session) receiveLocked(data []byte) {
	if s.out.phase.Load() == connecting && !s.input.hasRoomLocked(len(data)) {
		s.awaitOnConnectedLocked()
	}
	switch s.out.phase.Load() {
	case connecting:
		s.input.appendLocked(data)
	case open, draining, finishing: // in finishing the data is dropped, but the client is not silent
		s.handleInput(data)
	}
}

// awaitOnConnectedLocked waits until OnConnected has returned or the session ends. It releases
// the lock of the input in the meantime.
func (s *Session) awaitOnConnectedLocked() {
	s.input.mu.Unlock()
	defer s.input.mu.Lock()
	s.await(s.opening.ready)
}

// handleInput handles the complete records of the input and data, and keeps the rest.
func (s *Session) handleInput(data []byte) {
	s.liveness.setBusy(true, s.caller.begun)
	defer s.liveness.setBusy(false, s.caller.begun)
	data, seen := s.input.joinLocked(data)
	rest := s.handleRecords(data, seen)
	if !s.out.phase.isReceiving() {
		rest = nil
	}
	s.input.keepLocked(rest, data)
}

// handleRecords handles the complete records of data in order and returns the rest. The
// first seen bytes of data are an incomplete record.
func (s *Session) handleRecords(data []byte, seen int) (rest []byte) {
	m := messages.Get().(*protocol.Message)
	defer func() {
		*m = protocol.Message{Target: m.Target} // most messages have the same target as the previous one
		messages.Put(m)
	}()
	for len(data) > 0 && s.out.phase.isReceiving() {
		record, rest, err := s.out.wire.Next(data, seen, s.hub.options.MaxMessageSize)
		if err == nil && record == nil {
			break
		}
		if err == nil {
			err = s.out.wire.Parse(record, m)
		} else {
			s.log().refusal(&s.hub.refused.messages, "length of a message")
		}
		if err != nil {
			s.closeOnViolation(err)
			break
		}
		s.handle(m, record, len(data)-len(rest))
		data, seen = rest, 0
	}
	return data
}

// closeOnViolation ends the session because of a violation of the protocol, after earlier
// messages have been answered.
func (s *Session) closeOnViolation(err error) {
	s.stopReceiving()
	s.log().debug("protocol violated", slog.String("error", clip(err.Error())))
	s.runInOrder(0, func() { s.close(err, s.closeText(err), true) })
}

// stopReceiving drops all further messages, acknowledgements included.
func (s *Session) stopReceiving() {
	s.out.phase.stopReceiving()
	if s.out.buffer != nil {
		s.out.buffer.stopAcks()
	}
}

// receiveCompletion handles a completion: it answers a pending result or ends an upload.
func (s *Session) receiveCompletion(m *protocol.Message) {
	if q := s.results.take(m.InvocationID); q != nil {
		q.answer(m)
		return
	}
	err := m.Outcome(protocol.ErrUnknown)
	if errors.Is(err, protocol.ErrUnknown) {
		err = s.hub.wrongOwner(s, m.InvocationID)
	}
	if err != nil {
		s.closeOnViolation(err)
		return
	}
	s.streams.endUpload(m.InvocationID, errorOf(m, m.HasError))
}

// errorOf returns the error that a client reports, or nil if it reports none.
func errorOf(m *protocol.Message, hasError bool) error {
	if !hasError {
		return nil
	}
	return NewError(m.Error)
}

// handle handles the message of a record. size is the length of the record in bytes with its
// framing.
func (s *Session) handle(m *protocol.Message, record []byte, size int) {
	if r := s.out.buffer; r != nil && !r.isNew(m.Type) {
		return
	}
	if m.Type == protocol.Invocation || m.Type == protocol.StreamInvocation {
		s.receiveInvocation(m, record, size)
		return
	}
	s.input.yieldLocked()
	switch m.Type {
	case protocol.StreamItem:
		s.receiveItem(m)
	case protocol.Completion:
		s.receiveCompletion(m)
	case protocol.CancelInvocation:
		s.receiveCancel(m.InvocationID)
	case protocol.Ping:
		s.liveness.pinged()
	case protocol.Close:
		s.stopReceiving()
		cause := errorOf(m, m.Error != "")
		s.runInOrder(0, func() { s.close(cause, "", false) })
	case protocol.Ack:
		if s.out.buffer != nil {
			s.out.buffer.acknowledged(m.SequenceID)
		}
	case protocol.Sequence:
		if s.out.buffer == nil {
			return
		}
		if err := s.out.buffer.sequence(m.SequenceID); err != nil {
			s.closeOnViolation(err)
		}
	default:
		// Types that do not exist are ignored.
	}
}
