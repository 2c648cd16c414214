package hub

import "github.com/carillon-go/carillon/frame"

// listen begins the session of a client that only listens.
func (s *Session) listen() {
	if h := s.hub.local.history; h != nil {
		h.mu.Lock() // what is not in the greeting comes behind it
		defer h.mu.Unlock()
	}
	s.connect(s.hub.events)
}

// handshakeResponse is what a client gets first.
func (s *Session) handshakeResponse() *frame.Frame {
	if h := s.hub.local.history; h != nil && s.info.Listens {
		return frame.NewEvent(h.streamStartLocked(s))
	}
	return s.wire.handshakeResponse
}
