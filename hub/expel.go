package hub

import (
	"context"
	"slices"
)

// Disconnect ends connections, wherever they are. Each client gets a close message that
// does not allow it to reconnect, as with Caller.Abort. Messages that its methods send
// afterwards are dropped. Disconnect does not wait for the connections to end.
// Connections that do not exist are ignored.
func (h *Hub) Disconnect(ctx context.Context, connectionIDs ...string) error {
	return h.lifetime.Disconnect(ctx, audience{Kind: toConnections, Names: connectionIDs})
}

// DisconnectUser ends every connection of the given users, as Disconnect does. It does
// not prevent a new connection, and it misses connections that are still in the
// handshake. To keep a user out, also revoke the user's token.
func (h *Hub) DisconnectUser(ctx context.Context, userIDs ...string) error {
	return h.lifetime.Disconnect(ctx, audience{Kind: ofUsers, Names: userIDs})
}

func (l *local) Disconnect(_ context.Context, who audience) error {
	for _, name := range who.Names {
		if who.Kind == ofUsers {
			for _, s := range slices.Concat(l.users.snapshot(name), l.listeners.users.snapshot(name)) {
				s.abort()
			}
		} else if s := l.find(name); s != nil {
			s.abort()
		}
	}
	return nil
}
