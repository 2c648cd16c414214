package hub_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// carrier is a hub.Commander that does nothing.
type carrier struct {
	attached bool
	got      []hub.Command
}

var errCarrier = errors.New("a process does not answer")

func (c *carrier) Attach(hub.Local) { c.attached = true }

func (c *carrier) Command(_ context.Context, command hub.Command) error {
	c.got = append(c.got, command)
	return errCarrier
}

// Commands for connections that are not here go to other processes, without a backplane too. A
// backplane does them itself.
func TestCommandsForOtherProcesses(t *testing.T) {
	do := func(o hub.Options) (failed int) {
		h := newLoneLab(o)
		ctx, groups, users := t.Context(), h.Groups(), h.UserGroups()
		for _, command := range []func() error{
			func() error { return groups.Add(ctx, "here", "g") },
			func() error { return groups.Remove(ctx, "here", "g") },
			func() error { return h.Disconnect(ctx, "here") },
			func() error { return groups.Add(ctx, "there", "g") },
			func() error { return groups.Remove(ctx, "there", "g") },
			func() error { return h.Disconnect(ctx, "here", "there") },
			func() error { return h.DisconnectUser(ctx, "alice") },
			func() error { return groups.RemoveFromAll(ctx, "here") },
			func() error { return groups.RemoveFromAll(ctx, "there") },
			func() error { return h.CloseConnections(ctx, hub.Audience{Except: []string{"x"}}, "over", true) },
			func() error {
				some := hub.Audience{Kind: hub.ToConnections, Names: []string{"here", "there", "x"}, Except: []string{"x"}}
				return h.CloseConnections(ctx, some, "", true)
			},
			func() error { return users.Add(ctx, "bob", "g", time.Hour) },
			func() error { return users.Remove(ctx, "bob", "g") },
			func() error { return users.RemoveAll(ctx, "bob") },
		} {
			connect(t, h, clientOptions{id: "here", user: "alice"}) // an earlier command may have ended it
			err := command()
			if err != nil && !errors.Is(err, errCarrier) {
				t.Error(err)
			} else if err != nil {
				failed++
			}
		}
		return failed
	}
	there := hub.Audience{Kind: hub.ToConnections, Names: []string{"there"}}
	var c carrier
	if failed := do(hub.Options{Commands: &c}); failed != 10 || !c.attached || len(c.got) != 10 {
		t.Fatalf("%d failed, attached %v, %+v", failed, c.attached, c.got)
	}
	bob := hub.Audience{Kind: hub.OfUsers, Names: []string{"bob"}}
	for i, want := range []hub.Command{
		{Action: hub.AddToGroup, To: there, Group: "g"},
		{Action: hub.RemoveFromGroup, To: there, Group: "g"},
		{Action: hub.EndConnections, To: there},
		{Action: hub.EndConnections, To: hub.Audience{Kind: hub.OfUsers, Names: []string{"alice"}}},
		{Action: hub.RemoveFromAllGroups, To: there},
		{Action: hub.EndConnections, To: hub.Audience{Except: []string{"x"}}, Reason: "over", AllowReconnect: true},
		{Action: hub.EndConnections, To: there, AllowReconnect: true},
		{Action: hub.AddUserToGroup, To: bob, Group: "g", TTL: time.Hour},
		{Action: hub.RemoveUserFromGroup, To: bob, Group: "g"},
		{Action: hub.RemoveUserFromAllGroups, To: bob},
	} {
		if !reflect.DeepEqual(c.got[i], want) {
			t.Errorf("%+v, want %+v", c.got[i], want)
		}
	}
	var beside carrier
	if failed := do(hub.Options{Commands: &beside, Backplane: &spy{}}); failed != 0 || beside.attached || beside.got != nil {
		t.Errorf("%d failed, attached %v, %+v", failed, beside.attached, beside.got)
	}
	if failed := do(hub.Options{}); failed != 0 {
		t.Errorf("%d failed without other processes", failed)
	}
}
