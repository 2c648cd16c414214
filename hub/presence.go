package hub

import (
	"cmp"
	"context"
)

// Count is the number of connections of an audience.
type Count struct {
	Connections int
	// Missing is the number of other processes that have not answered. Their connections are
	// not counted.
	Missing int
}

// Member is a connection of an audience.
type Member struct {
	ConnectionID string
	UserID       string // "" for an anonymous client
}

// Page is a part of the connections of an audience.
type Page struct {
	Members []Member // sorted by ConnectionID
	// Next is the argument for the next page. It is "" on the last one.
	Next string
	// Missing is the number of other processes that have not answered. Their connections are
	// not on this page, and not on later ones if these processes answer again.
	Missing int
}

// The sizes of a page of Hub.Connections.
const (
	DefaultPageSize = 100
	MaxPageSize     = 1000
)

// Count returns the number of connections of an audience in all processes. A connection that is
// in several groups of the audience counts once; a client that only receives events counts like
// any other. A connection counts from its handshake until its end. Other processes have a second
// to answer, see Options.Presence. Count fails with the cause of ctx, and if the audience has
// more than 1,000 names, exceptions included, or more than 256 KiB of them.
func (h *Hub) Count(ctx context.Context, to Audience) (c Count, err error) {
	c.Missing, err = h.survey(ctx, Survey{Kind: CountConnections, Of: to}, func(f Findings) (enough bool) {
		c.Connections += f.Count
		return false
	})
	return c, err
}

// Connections returns connections of an audience in all processes, in the order of their ids:
// those with an id after a given one, "" for the first page. A page has at most size connections;
// size 0 means DefaultPageSize, and more than MaxPageSize means MaxPageSize. A page may be shorter
// although others follow. Nothing is kept between two pages. A connection that is in the audience
// from the first page to the last one is on exactly one of them, if no process is missing on any.
// Each page costs a look at all connections of the audience. Otherwise Connections is like Count.
func (h *Hub) Connections(ctx context.Context, to Audience, after string, size int) (p Page, err error) {
	q := Survey{Kind: ListConnections, Of: to, After: after, Max: min(max(cmp.Or(size, DefaultPageSize), 1), MaxPageSize)}
	var all Findings
	p.Missing, err = h.survey(ctx, q, func(f Findings) (enough bool) {
		all.merge(f, q.Max)
		return false
	})
	p.Members = all.Members
	if all.More {
		p.Next = all.last()
	}
	return p, err
}

// Exists reports whether an audience has connections in any process. It ends at the first one:
// missing, the number of other processes that have not answered, is 0 then. Otherwise Exists is
// like Count.
func (h *Hub) Exists(ctx context.Context, to Audience) (found bool, missing int, err error) {
	return h.anyProcess(ctx, Survey{Kind: AnyConnection, Of: to})
}
