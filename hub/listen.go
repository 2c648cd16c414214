package hub

// listen begins the session of a client that only listens.
func (s *Session) listen() {
	s.connect(s.hub.events)
	for _, group := range s.info.Groups {
		_ = s.hub.lifetime.Add(s.ctx, s.id, group) // one that has ended needs none
	}
}
