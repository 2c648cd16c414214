package hub_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// groupsOf returns the groups of a client.
func (c *client) groupsOf() []string { return hub.CallerFrom(c.session.Context()).Groups() }

func (c *client) wantGroups(want ...string) {
	c.t.Helper()
	if got := c.groupsOf(); !slices.Equal(got, want) {
		c.t.Errorf("%s is in the groups %q, want %q", c.conn.id, got, want)
	}
}

func wantHas(t *testing.T, h *hub.Hub, user, group string, want bool) {
	t.Helper()
	if got, err := h.UserGroups().Has(t.Context(), user, group); got != want || err != nil {
		t.Errorf("%s in %s: %v, %v", user, group, got, err)
	}
}

// Connections of a user are in the user's groups, also those that come later.
func TestUserGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		all := h.UserGroups()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
			synctest.Wait() // until another process has done it
		}
		first := connect(t, h, clientOptions{id: "1", user: "alice"})
		bob := connect(t, h, clientOptions{id: "2", user: "bob"})
		must(all.Add(t.Context(), "alice", "now", 0))
		must(all.Add(t.Context(), "alice", "minute", time.Minute))
		must(all.Add(t.Context(), "alice", "always", -1))
		must(all.Add(t.Context(), "carol", "always", time.Hour))
		first.wantGroups("always", "minute", "now")
		bob.wantGroups()
		second := connect(t, h, clientOptions{id: "3", user: "alice"})
		listener := dial(t, h, clientOptions{id: "4", user: "alice", info: hub.ConnectInfo{Listens: true}})
		synctest.Wait()
		second.wantGroups("always", "minute")
		listener.wantGroups("always", "minute")
		time.Sleep(time.Minute) // of the bubble
		first.wantGroups("always", "minute", "now")
		if !twoHubs.on { // a hub without Options.Presence knows its own connections
			wantHas(t, h, "alice", "minute", true)
			wantHas(t, h, "alice", "now", true)
		}
		must(all.Remove(t.Context(), "alice", "minute"))
		wantHas(t, h, "alice", "minute", false)
		third := connect(t, h, clientOptions{id: "5", user: "alice"})
		third.wantGroups("always")
		wantHas(t, h, "carol", "always", true)
		time.Sleep(time.Hour) // of the bubble
		wantHas(t, h, "carol", "always", false)
		must(all.RemoveAll(t.Context(), "alice"))
		for _, c := range []*client{first, second, third, listener} {
			c.wantGroups()
			c.close()
		}
		wantHas(t, h, "alice", "always", false)
		connect(t, h, clientOptions{id: "6", user: "alice"}).wantGroups()
		must(all.Add(t.Context(), "", "g", -1))
		connect(t, h, clientOptions{id: "7"}).wantGroups()
	})
}

// Of a user the newest 100 memberships are kept, and a renewed one is new.
func TestKeptMembershipsOfAUserAreBounded(t *testing.T) {
	h := newLoneLab(hub.Options{})
	for i := range 100 {
		if err := h.UserGroups().Add(t.Context(), "alice", fmt.Sprint(i), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for _, group := range []string{"0", "x"} { // the second displaces the oldest
		if err := h.UserGroups().Add(t.Context(), "alice", group, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	wantHas(t, h, "alice", "0", true)
	wantHas(t, h, "alice", "1", false)
	wantHas(t, h, "alice", "x", true)
	if n := len(connect(t, h, clientOptions{user: "alice"}).groupsOf()); n != 100 {
		t.Errorf("in %d groups", n)
	}
}

// The memberships of all users have a bound in memory, and those that have ended make room.
func TestKeptMembershipsAreBounded(t *testing.T) {
	const bound = 64 << 20
	for name, size := range map[string]int{"short names": 1 << 10, "long names": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newLoneLab(hub.Options{})
				add := func(n int) error {
					return h.UserGroups().Add(t.Context(), fmt.Sprint(n), strings.Repeat("x", size), time.Hour)
				}
				fill := func() (n int) {
					for n = 0; add(n) == nil; n++ {
						if n*size > bound {
							t.Fatal("there is no bound")
						}
					}
					return n
				}
				n := fill()
				if n < bound/(size+600) {
					t.Errorf("the bound is %d memberships", n)
				}
				if err := add(0); err != nil {
					t.Errorf("one that is kept: %v", err)
				}
				if err := h.UserGroups().RemoveAll(t.Context(), "1"); err != nil {
					t.Error(err)
				}
				if err := add(1); err != nil {
					t.Errorf("in place of one that was removed: %v", err)
				}
				time.Sleep(time.Hour) // of the bubble
				if again := fill(); again != n {
					t.Errorf("%d memberships in place of %d that have ended", again, n)
				}
			})
		})
	}
}

// All memberships are looked at once a second at most, however often one is added for which there is no
// room: new connections wait for the look.
func TestAFullHubLooksForEndedMembershipsOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLoneLab(hub.Options{})
		add := func(n int) error {
			return h.UserGroups().Add(t.Context(), fmt.Sprint(n), strings.Repeat("x", 1<<20), 500*time.Millisecond)
		}
		time.Sleep(time.Hour) // of the bubble
		n := 0
		for add(n) == nil {
			n++
		}
		time.Sleep(600 * time.Millisecond) // of the bubble
		if err := add(n); err == nil {
			t.Error("there was a second look")
		}
		time.Sleep(400 * time.Millisecond) // of the bubble
		if err := add(n); err != nil {
			t.Errorf("after a second: %v", err)
		}
	})
}

// A connection is in the groups of its user when OnConnected runs.
func TestUserGroupsBeforeOnConnected(t *testing.T) {
	h := newLoneLab(hub.Options{})
	seen := make(chan []string, 1)
	h.OnConnected(func(ctx context.Context) error {
		seen <- hub.CallerFrom(ctx).Groups()
		return nil
	})
	if err := h.UserGroups().Add(t.Context(), "alice", "g", time.Hour); err != nil {
		t.Fatal(err)
	}
	connect(t, h, clientOptions{user: "alice"})
	if got := <-seen; !slices.Equal(got, []string{"g"}) {
		t.Errorf("OnConnected sees %q", got)
	}
}

func TestRemoveFromAllGroups(t *testing.T) {
	h := newLab(hub.Options{})
	c := connect(t, h, clientOptions{id: "1"})
	for _, group := range []string{"a", "b"} {
		if err := h.Groups().Add(t.Context(), "1", group); err != nil {
			t.Fatal(err)
		}
	}
	c.wantGroups("a", "b")
	if err := h.Groups().RemoveFromAll(t.Context(), "1"); err != nil {
		t.Error(err)
	}
	if err := h.Groups().RemoveFromAll(t.Context(), "nobody"); err != nil && !twoHubs.on {
		t.Error(err)
	}
	c.wantGroups()
}

// The connections of every kind of audience are closed except some, with the reason as the text.
func TestCloseConnections(t *testing.T) {
	for name, to := range map[string]hub.Audience{
		"everyone":    {Except: []string{"3"}},
		"connections": {Kind: hub.ToConnections, Names: []string{"1", "3", "nobody", "1"}, Except: []string{"3"}},
		"groups":      {Kind: hub.InGroups, Names: []string{"none", "g", "h"}, Except: []string{"3"}},
		"users":       {Kind: hub.OfUsers, Names: []string{"alice", "nobody"}, Except: []string{"3"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newLab(hub.Options{})
			gone := connect(t, h, clientOptions{id: "1", user: "alice"})
			bob := connect(t, h, clientOptions{id: "2", user: "bob"})
			kept := connect(t, h, clientOptions{id: "3", user: "alice"})
			for _, id := range []string{"1", "3"} {
				if err := h.Groups().Add(t.Context(), id, "g"); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.CloseConnections(t.Context(), to, "the \"reason\"", true); err != nil {
				t.Fatal(err)
			}
			gone.want(`{"type":7,"error":"the \"reason\"","allowReconnect":true}`)
			gone.wantEnd()
			kept.send(call("1", "Void", ""))
			kept.want(result("1", "null"))
			if name != "everyone" {
				bob.send(call("1", "Void", ""))
				bob.want(result("1", "null"))
			}
			to.Except = nil
			if err := h.CloseConnections(t.Context(), to, "", true); err != nil {
				t.Fatal(err)
			}
			kept.want(goodbye)
			kept.wantEnd()
		})
	}
}
