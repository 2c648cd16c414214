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
		connect(t, h, clientOptions{id: "here", user: "alice"})
		for _, err := range []error{
			h.Groups().Add(t.Context(), "here", "g"), h.Groups().Remove(t.Context(), "here", "g"), h.Disconnect(t.Context(), "here"),
			h.Groups().Add(t.Context(), "there", "g"), h.Groups().Remove(t.Context(), "there", "g"),
			h.Disconnect(t.Context(), "here", "there"), h.DisconnectUser(t.Context(), "alice"),
			h.Groups().RemoveFromAll(t.Context(), "here"), h.Groups().RemoveFromAll(t.Context(), "there"),
			h.CloseConnections(t.Context(), hub.Audience{Except: []string{"x"}}, "over", true),
			h.CloseConnections(t.Context(), hub.Audience{Kind: hub.ToConnections, Names: []string{"here", "there", "x"}, Except: []string{"x"}}, "", true),
			h.UserGroups().Add(t.Context(), "bob", "g", time.Hour), h.UserGroups().Remove(t.Context(), "bob", "g"), h.UserGroups().RemoveAll(t.Context(), "bob"),
		} {
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
