package hub

import (
	"context"
	"fmt"

	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

// conflictLocked returns an error if one of the call's uploads has the id of an open
// upload.
func (s *Session) conflictLocked(c *call) error {
	var passed seenNames
	for i, id := range c.streamIDs {
		if s.uploads[id] != nil || passed.isRepeated(c.streamIDs, i) {
			return refusalError{NewError(fmt.Sprintf("Stream ID '%s' is already in use.", id))}
		}
	}
	return nil
}

// awaitHolders waits until no call with a running authorization holds an upload id of c:
// if that call is refused, its ids become free. In this case alone the reader waits for
// an authorization, as the original's reader does. The wait ends with the session.
func (s *Session) awaitHolders(c *call) {
	for {
		s.mu.Lock()
		decided := s.undecidedLocked(c)
		s.mu.Unlock()
		if decided == nil || !s.await(decided) {
			return
		}
	}
}

// undecidedLocked returns the channel of a call that holds an upload id of c and is not
// yet authorized, or nil.
func (s *Session) undecidedLocked(c *call) <-chan struct{} {
	for _, id := range c.streamIDs {
		if holder := s.uploading[s.uploads[id]]; holder != nil && holder.decided != nil {
			return holder.decided
		}
	}
	return nil
}

// decide records that a call is authorized. For a call that is refused, finish does this
// after it has freed the ids.
func (c *call) decide() {
	if c.decided != nil {
		c.session.mu.Lock()
		defer c.session.mu.Unlock()
		c.decideLocked()
	}
}

func (c *call) decideLocked() {
	if c.decided != nil {
		close(c.decided)
		c.decided = nil
	}
}

// openUploadsLocked registers the uploads of a call by their ids, which are free.
func (s *Session) openUploadsLocked(c *call) {
	if len(c.streamIDs) > 0 && c.method.authorize != nil {
		c.decided = make(chan struct{})
	}
	if s.budget == nil {
		s.budget = newUploadBudget(s)
	}
	_, targets := c.method.split(c.params)
	for i, t := range targets {
		u := t.open(uploadBounds{
			items:          s.hub.options.StreamBufferCapacity,
			itself:         c.method.decodesItself,
			budget:         s.budget,
			stateful:       s.buffer != nil,
			connectionDone: s.conn.Context().Done(),
		})
		c.uploads = append(c.uploads, u)
		if s.uploads == nil {
			s.uploads = make(map[string]upload)
			s.uploading = make(map[upload]*call)
		}
		s.uploads[c.streamIDs[i]] = u
		s.uploading[u] = c
		if s.concluded {
			u.end(errEnded)
		}
	}
}

// abandonUploads ends all uploads with an error.
func (s *Session) abandonUploads(err error) {
	s.mu.Lock()
	open := s.uploading
	s.uploads, s.uploading = nil, nil
	s.mu.Unlock()
	for u := range open {
		u.end(err)
	}
}

// cancelUploadsLocked ends the uploads of a cancelled call and frees their ids.
func (s *Session) cancelUploadsLocked(c *call) {
	for i, u := range c.uploads {
		if s.uploads[c.streamIDs[i]] == u {
			delete(s.uploads, c.streamIDs[i])
		}
		u.end(context.Canceled)
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

// receiveItem queues an item for its method and waits while the queue is full. An item of
// the wrong type ends the stream.
func (s *Session) receiveItem(m *protocol.Message) {
	u := s.upload(m.InvocationID, false)
	err := protocol.ErrUnknown
	if u != nil {
		err = s.push(u, m.Payload)
		// If the client's acknowledgements follow its items, nothing else would end the
		// wait.
		if s.buffer != nil && s.heldByUploads() > maxWaiting && s.hold(0) {
			s.abortSlow()
		}
	}
	err = m.Outcome(err)
	if fault := asFault(err); fault != nil {
		s.closeOnViolation(fault)
		return
	}
	if u != nil && err != nil {
		s.logItem(u, err)
		s.upload(m.InvocationID, true)
		u.end(NewError(explain("Failed to bind Stream message.", err, s.hub.options.DetailedErrors)))
	}
}

// push decodes and queues an item.
func (s *Session) push(u upload, raw []byte) (err error) {
	defer guard.Recover(&err)
	return u.push(s.wire, raw, s.uncork)
}

// endUpload ends an uploaded stream at the client's request.
func (s *Session) endUpload(m *protocol.Message) {
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
