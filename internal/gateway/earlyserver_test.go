package gateway

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// What OnConnectedAsync sends may come before the answer to the handshake. The client receives it, after
// that answer, and is in the groups that it was added to.
func TestMessagesBeforeTheAnswerToAHandshake(t *testing.T) {
	r := start(t, withServers(t, "chat"))
	s := r.serve("chat", false)
	payloads := func(text string) []serviceprotocol.Payload {
		return []serviceprotocol.Payload{{Protocol: "json", Data: fmt.Appendf(nil, "{\"type\":1,\"target\":\"news\",\"arguments\":[%q]}\x1e", text)}}
	}
	id := ""
	for name, m := range map[string]*serviceprotocol.Message{
		"to the connection": {Type: serviceprotocol.MultiConnectionData},
		"to all":            {Type: serviceprotocol.BroadcastData},
		"to the user":       {Type: serviceprotocol.UserData, User: "s"},
		"to a group":        {Type: serviceprotocol.GroupData, Group: "g"},
	} {
		c := client.New(r.url+"/client/?hub=chat", client.Options{
			Memory: client.NewMemory(), Header: http.Header{"Authorization": {"Bearer " + signedUser("s")}},
		})
		got := make(chan string, 10)
		c.On("news", client.Action1(func(_ context.Context, text string) error { got <- text; return nil }))
		started := make(chan error, 1)
		go func() { started <- c.Start(t.Context()) }()
		opened := s.wait(func(m *serviceprotocol.Message) bool {
			return m.Type == serviceprotocol.OpenConnection && m.Connection != id
		})
		id = opened.Connection
		switch m.Type {
		case serviceprotocol.MultiConnectionData:
			m.Names = []string{id}
		case serviceprotocol.GroupData:
			s.say(&serviceprotocol.Message{Type: serviceprotocol.JoinGroupAck, Connection: id, Group: "g", Ack: 5})
			if ack := s.wait(func(m *serviceprotocol.Message) bool { return m.Type == serviceprotocol.Ack }); ack.Status != serviceprotocol.Done {
				t.Errorf("joining a group: %d", ack.Status)
			}
		}
		m.Payloads = payloads(name)
		s.say(m)
		s.say(&serviceprotocol.Message{Type: serviceprotocol.ConnectionData, Connection: id, Data: []byte("{}\x1e")})
		if err := <-started; err != nil {
			t.Fatal(err)
		}
		select {
		case text := <-got:
			if text != name {
				t.Errorf("%s: got %q", name, text)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s: nothing has arrived", name)
		}
		if err := c.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		s.wait(func(m *serviceprotocol.Message) bool {
			return m.Type == serviceprotocol.CloseConnection && m.Connection == id
		})
		s.forget()
	}
}

// forget drops what was heard.
func (s *appServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = nil
}

// signedUser returns a token for a client of the hub chat with a user id.
func signedUser(user string) string {
	return textToken(accessKey, fmt.Sprintf(`{"asrs.s.uid":%q,"aud":"http://host/client/?hub=chat","exp":%d}`, user, time.Now().Add(time.Hour).Unix()))
}
