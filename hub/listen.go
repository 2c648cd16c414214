package hub

import "github.com/carillon-go/carillon/frame"

// listen starts the session of a client that only listens.
func (s *Session) listen() {
	if h := s.hub.local.history; h != nil {
		h.mu.Lock() // later events follow the start of the stream
		defer h.mu.Unlock()
	}
	s.connect(s.hub.events)
}

// handshakeResponse returns the first frame for a client.
func (s *Session) handshakeResponse() *frame.Frame {
	if h := s.hub.local.history; h != nil && s.info.Listens {
		return frame.NewEvent(h.streamStartLocked(s))
	}
	return s.wire.handshakeResponse
}
