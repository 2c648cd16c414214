package hub

import (
	"github.com/carillon-go/carillon/protocol"
)

// openUploads makes the uploads of a call known by their ids; of two with the same
// the later one gets the items, as in the original. The lock is held.
func (s *Session) openUploads(c *call) {
	_, targets := c.method.split(c.params)
	for i, t := range targets {
		u := t.open(uploadBounds{
			items:    s.hub.options.StreamBufferCapacity,
			itself:   c.method.decodesItself,
			held:     &s.held,
			stateful: s.stateful != nil,
			gone:     s.conn.Context().Done(),
		})
		c.uploads = append(c.uploads, u)
		if s.uploads == nil {
			s.uploads = make(map[string]upload)
			s.uploading = make(map[upload]struct{})
		}
		s.uploads[c.streamIDs[i]] = u
		s.uploading[u] = struct{}{}
		if s.gone {
			u.end(errEnded)
		}
	}
}

// abandonUploads ends all of them with an error.
func (s *Session) abandonUploads(err error) {
	s.mu.Lock()
	open := s.uploading
	s.uploads, s.uploading = nil, nil
	s.mu.Unlock()
	for u := range open {
		u.end(err)
	}
}

// endUploads ends the uploads of a call.
func (c *call) endUploads(err error) {
	if len(c.uploads) == 0 {
		return
	}
	s := c.session
	s.mu.Lock()
	for i, u := range c.uploads {
		if s.uploads[c.streamIDs[i]] == u {
			delete(s.uploads, c.streamIDs[i])
		}
		delete(s.uploading, u)
	}
	s.mu.Unlock()
	for _, u := range c.uploads {
		u.end(err)
		u.drop()
	}
}

func (s *Session) upload(id string, forget bool) upload {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[id]
	if forget {
		delete(s.uploads, id)
	}
	return u
}

// asFault returns err if it ends the connection. One within another error does not:
// it tells why something did not fit.
func asFault(err error) error {
	if fault, ok := err.(*protocol.Fault); ok { //nolint:errorlint // see above
		return fault
	}
	return nil
}

// uploaded hands an item to its method, and waits until that has room for it. One
// that is of the wrong type ends the stream.
func (s *Session) uploaded(m *protocol.Message) {
	u := s.upload(m.InvocationID, false)
	err := protocol.ErrUnknown
	if u != nil {
		err = s.push(u, m.Payload)
	}
	err = m.Settle(err)
	if fault := asFault(err); fault != nil {
		s.fault(fault)
		return
	}
	if u != nil && err != nil {
		s.upload(m.InvocationID, true)
		u.end(NewError(explain("Failed to bind Stream message.", err, s.hub.options.DetailedErrors)))
	}
}

// push decodes and queues an item.
func (s *Session) push(u upload, raw []byte) (err error) {
	defer s.recovered(&err)
	err = u.push(s.wire, raw, s.uncork)
	s.logPanic(err)
	return err
}

// uploadEnded ends an uploaded stream at the client's wish.
func (s *Session) uploadEnded(m *protocol.Message) {
	u := s.upload(m.InvocationID, true)
	if u == nil {
		return
	}
	if m.HasError {
		u.end(NewError(m.Error))
		return
	}
	u.end(nil)
}
