package hub

// listen starts the session of a client that only listens.
func (s *Session) listen() {
	if h := s.hub.local.history; h != nil {
		h.mu.Lock() // later events follow the start of the stream
		defer h.mu.Unlock()
	}
	s.connect(s.hub.events)
}
