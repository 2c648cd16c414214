package hub

import "fmt"

// Left tells what a hub without connections still remembers of some.
func Left(h *Hub) string {
	l := h.lifetime.(*local)
	sessions, groups, users := 0, 0, 0
	for i := range shardCount {
		sessions += len(l.connections.shards[i].byID)
		groups += len(l.groups.shards[i].sets)
		users += len(l.users.shards[i].sets)
	}
	if sessions+groups+users+len(h.sessions.all) == 0 {
		return ""
	}
	return fmt.Sprintf("%d sessions, %d groups, %d users, %d swept", sessions, groups, users, len(h.sessions.all))
}
