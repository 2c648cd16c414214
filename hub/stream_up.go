package hub

import (
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

// receiveItem queues an item for its method and waits while the queue is full. An item of
// the wrong type ends the stream.
func (s *Session) receiveItem(m *protocol.Message) {
	u, receiver := s.streams.upload(m.InvocationID)
	err := protocol.ErrUnknown
	if u != nil {
		err = s.push(u, m.Payload)
		// If the client's acknowledgements follow its items, nothing else would end the
		// wait.
		if s.out.buffer != nil && s.streams.held() > maxWaiting && hold(s.out.conn, 0) {
			s.out.abortSlow()
		}
	}
	err = m.Outcome(err)
	if fault := asFault(err); fault != nil {
		s.closeOnViolation(fault)
		return
	}
	if u != nil && err != nil {
		receiver.logUnbound("stream item does not bind", err)
		s.streams.endUpload(m.InvocationID, NewError(explain("Failed to bind Stream message.", err, s.hub.options.DetailedErrors)))
	}
}

// push decodes and queues an item.
func (s *Session) push(u upload, raw []byte) (err error) {
	defer guard.Recover(&err)
	return u.push(s.out.wire, raw, s.out.uncork)
}

// endUpload ends an uploaded stream at the client's request.
func (s *Session) endUpload(m *protocol.Message) {
	var err error
	if m.HasError {
		err = NewError(m.Error)
	}
	s.streams.endUpload(m.InvocationID, err)
}
