//go:build unix

package redis

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
)

// Commands that are ours alone disturb no server of the original: a close reaches its clients, with
// the reason and without the exceptions, and memberships of users do not reach it.
func TestOwnCommandsInAMixedCluster(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	ten, eleven, one, two := s.original("aspnet"), s.original("aspnet11"), s.ours("one", "ChatHub"), s.ours("two", "ChatHub")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	originals := slices.Concat(ten.members, eleven.members)
	all := slices.Concat(originals, one.members, two.members)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range all {
		_, err := one.do(ctx, "add", url.Values{"id": {m.id}, "group": {"g"}})
		must(err)
	}
	must(one.hub.UserGroups().Add(ctx, "alice", "h", time.Hour))
	must(one.hub.UserGroups().Remove(ctx, "alice", "h"))
	must(one.hub.UserGroups().RemoveAll(ctx, "alice"))
	must(two.hub.Groups().RemoveFromAll(ctx, one.members[0].id))
	group := hub.Audience{Kind: hub.InGroups, Names: []string{"g"}}
	s.eventually("alice is in no group of the other process", func() bool {
		n, err := two.hub.Count(ctx, group)
		return n.Connections == 1 && err == nil // its own
	})
	kept := originals[0]
	stays := func(m *member) bool {
		return m == kept || m == one.members[0] || m.user == "alice" && !slices.Contains(originals, m)
	}
	group.Except = []string{kept.id}
	must(one.hub.CloseConnections(ctx, group, "over", true))
	for _, m := range all {
		if stays(m) {
			continue
		}
		select {
		case err := <-m.ended:
			if closed, ok := errors.AsType[*client.CloseError](err); !ok || closed.Message != "over" || !closed.AllowReconnect {
				t.Errorf("the end of %s is %v", m.name, err)
			}
		case <-ctx.Done():
			t.Fatalf("%s is not closed", m.name)
		}
	}
	_, err := eleven.do(ctx, "all", url.Values{"text": {"still here"}})
	must(err)
	for _, m := range all {
		if !stays(m) {
			continue
		}
		select {
		case got := <-m.got:
			if got != "still here" {
				t.Errorf("%s got %q", m.name, got)
			}
		case err := <-m.ended:
			t.Errorf("the end of %s is %v", m.name, err)
		case <-ctx.Done():
			t.Fatalf("%s gets nothing", m.name)
		}
	}
}
