package appserver

import (
	"bytes"

	"github.com/carillon-go/carillon/internal/serviceprotocol"
)

// parts are the beginnings of messages for clients that the server sends in several pieces, by
// connection id. They have the limit of one message together.
type parts struct {
	byID  map[string][]byte
	bytes int
}

// whole returns the data for a client, or nil if more of the same message follows. A client for which
// too much is kept reconnects. c is nil if the client is unknown.
func (l *link) whole(m *serviceprotocol.Message, c *client) []byte {
	p, id := &l.parts, m.Connection
	before := p.byID[id]
	switch {
	case c == nil:
		p.drop(id)
		return nil
	case !m.Partial:
		p.drop(id)
		return append(before, bytes.Clone(m.Data)...)
	}
	if p.bytes+len(m.Data) > maxMessage {
		for other := range p.byID {
			if l.servers.find(l, other) == nil {
				p.drop(other)
			}
		}
	}
	if p.bytes+len(m.Data) > maxMessage {
		p.drop(id)
		c.relayed.Lose(serviceprotocol.ErrMalformed)
		return nil
	}
	if p.byID == nil {
		p.byID = map[string][]byte{}
	}
	p.bytes += len(m.Data)
	p.byID[id] = append(before, m.Data...)
	return nil
}

func (p *parts) drop(id string) {
	p.bytes -= len(p.byID[id])
	delete(p.byID, id)
}
