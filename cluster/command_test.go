package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

// doing is the part of a hub that does commands.
type doing struct {
	mu   sync.Mutex
	done []hub.Command
	do   func(hub.Command) (int, error) // nil: nothing is found
}

func (s *site) attach(d *doing) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.commands = func(_ context.Context, c hub.Command) (int, error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.done = append(d.done, c)
		if d.do == nil {
			return 0, nil
		}
		return d.do(c)
	}
}

func endOf(kind hub.AudienceKind, names ...string) hub.Command {
	return hub.Command{Action: hub.EndConnections, To: hub.Audience{Kind: kind, Names: names}}
}

// A command reaches every other node as it was given, whatever is in the names and however many
// there are.
func TestCommandsReachAllNodes(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 3)
	var all [3]doing
	for i, s := range sites {
		s.attach(&all[i])
	}
	var many []string
	for i := range 40_000 {
		many = append(many, fmt.Sprintf("%022d", i))
	}
	join := hub.Command{Action: hub.AddToGroup, To: hub.Audience{Kind: hub.ToConnections, Names: []string{"a"}}, Group: "g\xff"}
	many = append(many, strings.Repeat("x", 300_000), "end")
	others := hub.Command{Action: hub.EndConnections, To: hub.Audience{Except: []string{"a", "\xff"}}, Reason: "é\xff", AllowReconnect: true}
	keep := hub.Command{Action: hub.AddUserToGroup, To: hub.Audience{Kind: hub.OfUsers, Names: []string{"ann"}}, Group: "g", TTL: -1}
	for _, c := range []hub.Command{
		endOf(hub.OfUsers, "\xff\x00", "ann", "ärger"), join, endOf(hub.ToConnections, many...), endOf(hub.OfUsers), endOf(hub.Everyone), others, keep,
		endOf(hub.InGroups, slices.Repeat([]string{""}, 100_000)...),
	} {
		if err := sites[0].hub.Command(t.Context(), c); err != nil {
			t.Errorf("%d names: %v", len(c.To.Names), err)
		}
		var names []string
		for _, got := range all[1].done {
			names = append(names, got.To.Names...)
			if got.To.Names = c.To.Names; !reflect.DeepEqual(got, c) {
				t.Errorf("%+v, want %+v", got, c)
			}
		}
		if n := len(all[1].done); c.To.Kind == hub.Everyone && n != 1 {
			t.Errorf("%+v: %d commands", c, n)
		}
		if !slices.Equal(names, c.To.Names) || len(all[2].done) != len(all[1].done) || len(all[0].done) != 0 {
			t.Errorf("%d names in %d and %d commands, %d at the own node", len(names), len(all[1].done), len(all[2].done), len(all[0].done))
		}
		all[1].done, all[2].done = nil, nil
	}
}

// A command fails if some node has not confirmed it, and says how many, unless a node has all that
// is to be changed.
func TestCommandsThatAreNotConfirmed(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 3)
	var second doing
	sites[1].attach(&second)
	expect := func(ctx context.Context, from *site, want string, cause error) {
		t.Helper()
		err := from.hub.Command(ctx, endOf(hub.ToConnections, "a"))
		if text := fmt.Sprint(err); !strings.Contains(text, want) || cause != nil && !errors.Is(err, cause) {
			t.Errorf("%s, want %s", text, want)
		}
	}
	expect(t.Context(), sites[0], "nil", nil)
	second.do = func(hub.Command) (int, error) { return 0, errors.New("too many groups") }
	expect(t.Context(), sites[0], "1 of 2 other nodes have not confirmed the command: cluster: the node refuses: too many groups", nil)
	second.do = nil
	ended, end := context.WithCancel(t.Context())
	end()
	expect(ended, sites[0], "2 of 2 other nodes", context.Canceled)

	late := newSite(t, "late", listen(t, "127.0.0.1:0"), Options{Secrets: sites[0].secrets, Peers: []string{sites[1].node.self.address, "127.0.0.1:1"}})
	late.awaitMembers(t, 1)
	expect(t.Context(), late, "1 of 2 other nodes have not confirmed the command: it has not been heard of yet", errUnheard)

	sites[2].stop()
	expect(t.Context(), sites[0], "1 of 2 other nodes", nil)
	second.do = func(hub.Command) (int, error) { return 1, nil }
	expect(t.Context(), sites[0], "nil", nil)
	sites[0].stop()
	expect(t.Context(), sites[0], "closed", nil)
}

// Connections of several nodes can be ended while another node does not answer, if each of them is
// found.
func TestCommandsForConnectionsOfSeveralNodes(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 4)
	for i, name := range []string{"a", "b"} {
		sites[i+1].attach(&doing{do: func(c hub.Command) (found int, err error) {
			for _, wanted := range c.To.Names {
				if wanted == name {
					found++
				}
			}
			return found, nil
		}})
	}
	sites[3].stop()
	for _, names := range [][]string{{"a"}, {"b", "a"}, {"a", "a", "b"}} {
		if err := sites[0].hub.Command(t.Context(), endOf(hub.ToConnections, names...)); err != nil {
			t.Errorf("%q: %v", names, err)
		}
	}
	for _, names := range [][]string{{"c"}, {"a", "b", "c"}, {"a", "a", "c"}} {
		if err := sites[0].hub.Command(t.Context(), endOf(hub.ToConnections, names...)); err == nil {
			t.Errorf("%q: all is confirmed", names)
		}
	}
}

// A node that hangs delays a command no longer than the caller wants to wait.
func TestCommandsWaitNoLongerThanTheirCaller(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 2)
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	hangs := doing{do: func(hub.Command) (int, error) { cancel(); <-release; return 1, nil }}
	sites[1].attach(&hangs)
	defer close(release)
	if err := sites[0].hub.Command(ctx, endOf(hub.ToConnections, "a")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Commands that this release does not know, and those that are not valid, change nothing.
func TestCommandsThatAreNotValid(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 2)
	var second doing
	sites[1].attach(&second)
	for text, valid := range map[string]bool{
		`{}`: false, `[]`: false, `{"hub":"/chat"}`: false, `{"hub":"/chat","action":8,"kind":1,"names":["YQ=="]}`: false,
		`{"hub":"/chat","action":3,"kind":-1}`: false, `{"hub":"/chat","action":3,"kind":4,"names":["YQ=="]}`: false,
		`{"hub":"/chat","action":4,"kind":3,"names":["YQ=="]}`: false, `{"hub":"/chat","action":5,"kind":1,"names":["YQ=="]}`: false,
		`{"hub":"/chat","action":5,"kind":3,"names":["YQ==","YQ=="]}`: false, `{"hub":"/chat","action":7,"kind":3}`: false,
		`{"hub":"/chat","action":1,"kind":3,"names":["YQ=="]}`: false, `{"hub":"/chat","action":3,"kind":1,"names":["%"]}`: false,
		`{"hub":"/other","action":3,"kind":1,"names":["YQ=="]}`: true,
	} {
		var answer json.RawMessage
		err := sites[0].node.call(t.Context(), sites[1].node.self, commandPath, json.RawMessage(text), &answer)
		if (err == nil) != valid || valid && string(answer) != "{}" {
			t.Errorf("%s: %s, %v", text, answer, err)
		}
	}
	if len(second.done) > 0 {
		t.Errorf("%+v", second.done)
	}
}
