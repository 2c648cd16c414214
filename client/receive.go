package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/carillon-go/carillon/internal/messagebuffer"
	"github.com/carillon-go/carillon/protocol"
)

// maxHandshake is the limit in bytes of the response to the handshake.
const maxHandshake = 32 << 10

// jobOverhead is the memory of a queued message in addition to its bytes.
const jobOverhead = 128

// errClosing means that the end has been decided, by the server's close message or by us.
var errClosing = errors.New("client: no more data is received")

// receive feeds data from a carrier. It records that an error was not caused by the carrier.
func (s *session) receive(data []byte) error {
	err := s.feed(data)
	s.violated = s.violated || err != nil
	return err
}

// feed splits received data into records and handles each.
func (s *session) feed(data []byte) error {
	if s.ctx.Err() != nil {
		return errClosing
	}
	s.life.noteReceived()
	seen := len(s.rest)
	if seen > 0 {
		s.rest = append(s.rest, data...)
		data = s.rest
	}
	for {
		record, rest, err := s.next(data, seen)
		if err != nil {
			return fmt.Errorf("client: bad data from the server: %w", err)
		}
		if record == nil {
			break
		}
		if err := s.handle(record); err != nil {
			return err
		}
		data, seen = rest, 0
	}
	s.rest.keep(data)
	if s.replayDue {
		s.replayDue = false
		s.out.replay(s.protocol)
	}
	return nil
}

// incomplete is the beginning of a record.
type incomplete []byte

// keep keeps rest. It does not copy a record that is kept already.
func (k *incomplete) keep(rest []byte) {
	switch {
	case len(rest) == 0 && cap(*k) > mebibyte:
		*k = nil
	case len(rest) == 0 || len(rest) != len(*k):
		*k = append((*k)[:0], rest...)
	}
}

// next returns the first record of data and the rest. The first seen bytes of data are an
// incomplete record.
func (s *session) next(data []byte, seen int) (record, rest []byte, err error) {
	if !s.handshaken {
		return protocol.NextHandshake(data, seen, maxHandshake)
	}
	return s.protocol.Next(data, seen, s.options.MaxMessageSize)
}

func (s *session) handle(record []byte) error {
	if !s.handshaken {
		return s.handleHandshake(record)
	}
	m := &s.message
	if err := s.protocol.Parse(record, m); err != nil {
		return fmt.Errorf("client: bad message from the server: %w", err)
	}
	if messagebuffer.IsNumbered(m.Type) && !s.out.isNew(len(record), s.protocol) {
		return nil
	}
	switch m.Type {
	case protocol.Invocation:
		return s.enqueue(m, len(record)+jobOverhead)
	case protocol.StreamItem:
		return s.handleItem(m)
	case protocol.Completion:
		if p := s.calls.take(m.InvocationID); p != nil {
			p.complete(m)
		}
	case protocol.Ack:
		s.out.acknowledged(m.SequenceID)
	case protocol.Sequence:
		if err := s.out.sequence(m.SequenceID); err != nil {
			return fmt.Errorf("client: bad message from the server: %w", err)
		}
	case protocol.Close:
		s.end(&CloseError{Message: m.Error, AllowReconnect: m.AllowReconnect})
		return errClosing
	}
	return nil // pings need no action; unknown types are ignored
}

func (s *session) handleHandshake(record []byte) error {
	refusal, err := protocol.ParseHandshakeResponse(record)
	switch {
	case err != nil:
		err = fmt.Errorf("client: bad answer to the handshake: %w", err)
	case refusal != "":
		err = &HandshakeError{Message: refusal}
	}
	s.handshakeResult <- err
	if err != nil {
		return err
	}
	s.handshaken = true
	_ = await(s.ctx, s.active) // observers learn of the connection before its first message is handled
	return nil
}

// enqueue queues an invocation by the server.
func (s *session) enqueue(m *protocol.Message, size int) error {
	if err := s.run.budget.acquire(s.ctx, size); err != nil {
		return err
	}
	s.run.jobs.push(job{session: s, id: m.InvocationID, target: m.Target, arguments: bytes.Clone(m.Arguments), size: size})
	return nil
}

func (s *session) handleItem(m *protocol.Message) error {
	p := s.calls.get(m.InvocationID)
	if p == nil {
		return nil // cancelled
	}
	err := p.item(s.ctx, m.Payload)
	if err != nil && s.ctx.Err() == nil {
		if s.cancelCall(m.InvocationID) {
			p.fail(err)
		}
		err = nil
	}
	return err
}

// cancelCall removes a call and asks the server to cancel it. It returns false if the call has
// already ended.
func (s *session) cancelCall(id string) bool {
	if s.calls.take(id) == nil {
		return false
	}
	s.out.addNow(s.protocol.AppendCancel(nil, id))
	return true
}

// lostCallError returns the error of a call without an answer when the session ended.
func lostCallError(cause error) error {
	if errors.Is(cause, context.Canceled) {
		cause = ErrStopped
	}
	return fmt.Errorf("%w: %w", ErrConnectionLost, cause)
}
