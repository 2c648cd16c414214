//go:build unix

package redis

import (
	"fmt"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

func connections(ids ...string) hub.Audience {
	return hub.Audience{Kind: hub.ToConnections, Names: ids}
}
func inGroup(name string) hub.Audience {
	return hub.Audience{Kind: hub.InGroups, Names: []string{name}}
}
func ofUser(id string) hub.Audience { return hub.Audience{Kind: hub.OfUsers, Names: []string{id}} }

func except(to hub.Audience, ids ...string) hub.Audience {
	to.Except = ids
	return to
}

// expectPresence asks a hub of ours about connections, groups and users of servers of ASP.NET Core. A
// server of those, and the hub, have added all members to a group with the name in theirs.
func (s *server) expectPresence(p, theirs *peer, everybody []*member) {
	s.t.Helper()
	ctx := s.t.Context()
	exists := func(to hub.Audience, found bool, missing int) {
		s.t.Helper()
		s.eventually(fmt.Sprintf("%+v exists: %v, %d missing", to, found, missing), func() bool {
			gotFound, gotMissing, err := p.hub.Exists(ctx, to)
			return gotFound == found && gotMissing == missing && err == nil
		})
	}
	for _, m := range everybody {
		exists(connections("none", m.id), true, 0)
		exists(except(connections(m.id), m.id), false, 0)
		exists(ofUser(m.user), true, 0)
	}
	member := theirs.members[0]
	if err := p.hub.Groups().Add(ctx, member.id, "theirs"); err != nil {
		s.t.Fatal(err)
	}
	exists(inGroup("theirs"), true, 0)
	exists(except(inGroup("theirs"), member.id), false, 1) // they may have others
	exists(hub.Audience{}, true, 0)
	exists(except(hub.Audience{}, p.members[0].id, p.members[1].id), false, 3)
	exists(connections("none"), false, 0)
	exists(ofUser("none"), false, 0)
	exists(except(inGroup("none"), member.id), false, 0)
	for _, step := range []struct {
		to             hub.Audience
		count, missing int
	}{{hub.Audience{}, 2, 3}, {ofUser(member.user), 1, 3}, {inGroup("theirs"), 0, 1}, {inGroup("none"), 0, 0}, {connections(member.id, p.members[0].id), 1, 1}} {
		s.eventually(fmt.Sprintf("%+v", step), func() bool {
			c, err := p.hub.Count(ctx, step.to)
			page, failed := p.hub.Connections(ctx, step.to, "", 0)
			return err == nil && failed == nil && c == hub.Count{Connections: step.count, Missing: step.missing} &&
				len(page.Members) == step.count && page.Missing == step.missing && page.Next == ""
		})
	}
	if err := p.hub.Groups().Remove(ctx, member.id, "theirs"); err != nil {
		s.t.Fatal(err)
	}
	exists(inGroup("theirs"), false, 0)
}

// Nodes of ours on one Redis without a link between them find each other's connections, and say
// that they cannot count them.
func TestPresenceThroughRedis(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	peers := []*peer{s.ours("one", "ChatHub"), s.ours("two", "ChatHub"), s.ours("three", "ChatHub"), s.ours("four", "ChatHub")}
	var everybody []*member
	for _, p := range peers {
		everybody = append(everybody, p.members...)
	}
	s.expectPresence(peers[0], peers[1], everybody)
	s.freeze()
	t.Cleanup(s.thaw)
	if found, missing, err := peers[0].hub.Exists(t.Context(), connections("none")); found || missing != 1 || err != nil {
		t.Errorf("while Redis hangs: found %v, %d missing, %v", found, missing, err)
	}
	if c, err := peers[0].hub.Count(t.Context(), hub.Audience{}); c != (hub.Count{Connections: 2, Missing: 1}) || err != nil {
		t.Errorf("while Redis hangs: %+v, %v", c, err)
	}
}
