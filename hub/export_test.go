package hub

import "fmt"

// Left tells what a hub without connections still remembers of some.
func Left(h *Hub) string {
	sessions, groups, users := 0, 0, 0
	for _, m := range []*members{&h.local.members, &h.local.listeners} {
		for i := range shardCount {
			sessions += len(m.connections.shards[i].byName)
			groups += len(m.groups.shards[i].byName)
			users += len(m.users.shards[i].byName)
		}
	}
	if sessions+groups+users+len(h.sessions.all) == 0 {
		return ""
	}
	return fmt.Sprintf("%d sessions, %d groups, %d users, %d swept", sessions, groups, users, len(h.sessions.all))
}

// Kept is how many bytes are kept for a stateful client.
func (s *Session) Kept() int {
	r := s.out.buffer
	r.mu.Lock()
	defer r.mu.Unlock()
	_, bytes := r.messages.Unacknowledged()
	_, spare := r.messages.Spare()
	return bytes + spare
}

// Spoil overwrites the last byte of a message that has not come whole yet.
func Spoil(s *Session, b byte) {
	s.input.mu.Lock()
	defer s.input.mu.Unlock()
	s.input.partial[len(s.input.partial)-1] = b
}

// MaxSpareResumptions is maxSpareResumptions.
const MaxSpareResumptions = maxSpareResumptions
