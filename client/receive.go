package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/carillon-go/carillon/protocol"
)

// maxHandshake bounds the answer to the handshake in bytes.
const maxHandshake = 32 << 10

// jobOverhead is what a message that waits costs besides its bytes.
const jobOverhead = 128

// errClosing: the end is decided, by the server's close message or by us.
var errClosing = errors.New("client: nothing more is to be received")

// receive is feed for a carrier; it notes that the carrier is not to blame for an error.
func (s *session) receive(data []byte) error {
	err := s.feed(data)
	s.violated = s.violated || err != nil
	return err
}

// feed takes bytes as they came, cuts them into records and handles each.
func (s *session) feed(data []byte) error {
	if s.ctx.Err() != nil {
		return errClosing
	}
	s.noteReceived()
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
	s.bufferRecord(data)
	if s.replayDue {
		s.replayDue = false
		s.out.replay(s.protocol)
	}
	return nil
}

// bufferRecord keeps an incomplete record until the rest of it comes. A record that is kept already is not copied again.
func (s *session) bufferRecord(rest []byte) {
	switch {
	case len(rest) == 0 && cap(s.rest) > mebibyte:
		s.rest = nil
	case len(rest) == 0 || len(rest) != len(s.rest):
		s.rest = append(s.rest[:0], rest...)
	}
}

// next cuts the first record off data, of which the first seen bytes are an incomplete record.
func (s *session) next(data []byte, seen int) (record, rest []byte, err error) {
	if !s.handshaken {
		return protocol.NextHandshakeAfter(data, seen, maxHandshake)
	}
	return protocol.NextAfter(s.protocol, data, seen, s.options.MaxMessageSize)
}

func (s *session) handle(record []byte) error {
	if !s.handshaken {
		return s.handleHandshake(record)
	}
	m := &s.message
	if err := s.protocol.Parse(record, m); err != nil {
		return fmt.Errorf("client: bad message from the server: %w", err)
	}
	if isCounted(m.Type) && !s.out.isNew(len(record), s.protocol) {
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
		return s.out.sequence(m.SequenceID)
	case protocol.Close:
		s.end(&CloseError{Message: m.Error, AllowReconnect: m.AllowReconnect})
		return errClosing
	}
	return nil // pings did their duty by coming; types that we do not know are ignored
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
	select {
	case <-s.active: // observers hear of the connection before its first message is handled
	case <-s.ctx.Done():
	}
	return nil
}

// enqueue lets an invocation by the server wait for its turn.
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

// cancelCall forgets a call and tells the server that nobody waits for its answer. It is false if the call
// has ended already.
func (s *session) cancelCall(id string) bool {
	if s.calls.take(id) == nil {
		return false
	}
	s.out.addNow(s.protocol.AppendCancel(nil, id))
	return true
}

// isClose: the server said by a close message that it is over; the carrier can be closed in order.
func isClose(err error) bool {
	closed := new(CloseError)
	return errors.As(err, &closed)
}

// lostCallError makes the error of a call that the end of the session left without an answer.
func lostCallError(cause error) error {
	if errors.Is(cause, context.Canceled) {
		cause = ErrStopped
	}
	return fmt.Errorf("%w: %w", ErrConnectionLost, cause)
}
