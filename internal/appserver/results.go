package appserver

import (
	"fmt"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// maxAsked is the limit of the results of clients that servers wait for. Above it the oldest one
// fails.
const maxAsked = 10_000

// question is a result of a client that a server waits for.
type question struct {
	invocation string
	client     *client
	server     string // the id of the caller, as the question has it
	caller     *link
	asked      time.Time
}

// fail tells the caller that the result never comes.
func (q *question) fail(text string) {
	_ = q.caller.out.put(&serviceprotocol.Message{
		Type: serviceprotocol.ErrorCompletion, Invocation: q.invocation, Connection: q.client.relayed.ConnectionID(),
		Server: q.server, Text: text,
	})
}

// disconnectedText is the error of a result of a client that has left its server.
const disconnectedText = "Connection disconnected."

// handleResult passes on a message about a result of a client: to the client, or to the server that
// waits for it.
func (l *link) handleResult(m *serviceprotocol.Message) {
	s := l.servers
	if m.Type == serviceprotocol.ClientInvocation {
		l.ask(m)
		return
	}
	s.mu.Lock()
	q := s.asked[m.Invocation]
	s.answeredLocked(q)
	s.mu.Unlock()
	if q != nil && q.caller.server != l.server {
		_ = q.caller.out.put(m)
	}
}

// ask asks a client for a result. The client answers its own server, which has to know of the
// question.
func (l *link) ask(m *serviceprotocol.Message) {
	s := l.servers
	s.mu.Lock()
	c := s.clients[m.Connection]
	if c == nil {
		s.mu.Unlock()
		_ = l.out.put(&serviceprotocol.Message{
			Type: serviceprotocol.ErrorCompletion, Invocation: m.Invocation, Connection: m.Connection, Server: m.Server,
			Text: fmt.Sprintf("Connection '%s' does not exist.", m.Connection), // the original's text
		})
		return
	}
	var oldest *question
	if len(s.asked) >= maxAsked {
		oldest = s.oldestLocked()
		s.answeredLocked(oldest)
	}
	s.answeredLocked(s.asked[m.Invocation])
	s.asked[m.Invocation] = &question{invocation: m.Invocation, client: c, server: m.Server, caller: l, asked: time.Now()}
	c.questions++
	own := c.link
	s.mu.Unlock()
	if oldest != nil {
		oldest.fail("The client did not answer.")
	}
	if c.tracker != nil {
		c.tracker.ask(m.Invocation)
	}
	if own != nil && own.server != l.server {
		_ = own.out.put(m)
	}
	l.send(hub.Audience{Kind: hub.ToConnections, Names: []string{m.Connection}}, m)
}

func (s *Servers) oldestLocked() (oldest *question) {
	for _, q := range s.asked {
		if oldest == nil || q.asked.Before(oldest.asked) {
			oldest = q
		}
	}
	return oldest
}

// answeredLocked forgets a question. nil: there is none.
func (s *Servers) answeredLocked(q *question) {
	if q != nil {
		delete(s.asked, q.invocation)
		q.client.questions--
	}
}

// unansweredLocked forgets the questions to a client, and returns them.
func (s *Servers) unansweredLocked(c *client) (all []*question) {
	if c.questions == 0 { // of most clients
		return nil
	}
	for _, q := range s.asked {
		if q.client == c {
			all = append(all, q)
		}
	}
	for _, q := range all {
		s.answeredLocked(q)
	}
	return all
}
