package appserver

import (
	"slices"

	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// The SDK sends the answer to a client's handshake beside the messages of OnConnectedAsync. A message
// of these often comes first, and says that the handshake was accepted.

// answerEarly answers the handshakes of the clients that a message may concern, in place of the server,
// so that they receive the message and can be in groups.
func (l *link) answerEarly(m *serviceprotocol.Message) {
	s := l.servers
	var concerned []*client
	s.mu.Lock()
	for c := range s.unanswered {
		if c.isConcernedLocked(m, l) {
			delete(s.unanswered, c)
			concerned = append(concerned, c)
		}
	}
	s.mu.Unlock()
	for _, c := range concerned {
		c.answerEarly()
	}
}

// isConcernedLocked reports whether a message of l names the client, its user, or all clients.
func (c *client) isConcernedLocked(m *serviceprotocol.Message, l *link) bool {
	id := c.relayed.ConnectionID()
	switch m.Type {
	case serviceprotocol.Ping, serviceprotocol.CloseConnection:
		return false
	case serviceprotocol.BroadcastData:
		return c.link == l || slices.Contains(m.Except, id)
	case serviceprotocol.UserData, serviceprotocol.MultiUserData, serviceprotocol.UserJoinGroup, serviceprotocol.UserJoinGroupAck:
		user := userOf(c.token)
		return c.link == l && user != "" && (m.User == user || slices.Contains(m.Names, user))
	}
	return m.Connection == id || slices.Contains(m.Names, id) || slices.Contains(m.Except, id)
}

func userOf(t *accesskey.Token) string {
	if t == nil {
		return ""
	}
	return t.UserID()
}

// answerEarly answers the handshake. The server's own answer is dropped when it comes.
func (c *client) answerEarly() {
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.answered.Load() {
		return
	}
	c.moved.Store(true)
	c.answered.Store(true)
	c.relayed.Answer([]byte(handshakeAnswer))
}

// isAnswer handles data of the server that is the answer to a handshake, and reports whether it is.
func (c *client) isAnswer(data []byte) bool {
	if c.answered.Load() && !c.moved.Load() {
		return false
	}
	c.opening.Lock()
	defer c.opening.Unlock()
	if c.moved.Swap(false) && string(data) == handshakeAnswer {
		return true
	}
	if c.answered.Load() {
		return false
	}
	c.answered.Store(true)
	c.servers.mu.Lock()
	delete(c.servers.unanswered, c)
	c.servers.mu.Unlock()
	c.relayed.Answer(data)
	return true
}
