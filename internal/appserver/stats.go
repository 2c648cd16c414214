package appserver

// Stats are numbers about the application servers of a hub.
type Stats struct {
	Servers, Links, Clients int    // servers by their ids, their connections, clients that a server has
	Homeless                int    // clients that wait for a server
	QueuedBytes             int    // bytes that wait for all servers
	Acks                    uint64 // acknowledgements that servers got, since the start
	Moves                   uint64 // clients that moved to another server, since the start
}

// Stats returns the numbers.
func (s *Servers) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := Stats{Links: len(s.links), Homeless: len(s.homeless), Clients: len(s.clients) - len(s.homeless), Acks: s.acks.Load(), Moves: s.moves}
	ids := map[string]bool{}
	for _, l := range s.links {
		ids[l.server] = true
		n.QueuedBytes += l.out.size()
	}
	n.Servers = len(ids)
	return n
}
