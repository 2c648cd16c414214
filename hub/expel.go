package hub

import (
	"context"
	"slices"
)

// Disconnect ends connections, wherever they are: each client gets a close message
// that does not invite it to reconnect, as Caller.Abort sends it, and what its methods
// send from then on is dropped. It does not wait for the ends. A connection that does
// not exist is no error.
func (h *Hub) Disconnect(ctx context.Context, connectionIDs ...string) error {
	return h.lifetime.Disconnect(ctx, Audience{Kind: Connections, Names: connectionIDs})
}

// DisconnectUser ends every connection of users, as Disconnect does. It keeps nobody
// out, nor whom it meets before the handshake: who is to stay away needs a token that
// is refused, too.
func (h *Hub) DisconnectUser(ctx context.Context, userIDs ...string) error {
	return h.lifetime.Disconnect(ctx, Audience{Kind: OfUsers, Names: userIDs})
}

func (l *local) Disconnect(_ context.Context, who Audience) error {
	for _, name := range who.Names {
		if who.Kind == OfUsers {
			for _, s := range slices.Concat(l.users.snapshot(name), l.listeners.users.snapshot(name)) {
				s.abort()
			}
		} else if s := l.find(name); s != nil {
			s.abort()
		}
	}
	return nil
}
