package backplane

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
)

// The extension of a command is known to servers of this package only; its keys may become more.
// To others nobody has the connection.
func TestExtensionsOfCommands(t *testing.T) {
	c := newCommand(hub.Command{Action: hub.AddUserToGroup, Group: "G", TTL: time.Minute}, "U")
	c.id, c.server = 42, "S"
	const encoded = "962aa15300a147a0" + "83a6616374696f6e05a46e616d65a155a374746cd3" + "0000000df8475800"
	if got := hex.EncodeToString(c.encode()); got != encoded {
		t.Errorf("a command is %s", got)
	}
	base := command{id: 1, server: "S", group: "G"}
	head := append([]byte{0x96}, base.encode()[1:]...)
	for tail, want := range map[string]change{
		"\x83\xa6action\x05\xa4name\xa1U\xa3ttl\xff": {hub.AddUserToGroup, "U", -1},
		"\x82\xa6action\x04\xa3new\x93\x01\x02\x80":  {action: hub.RemoveFromAllGroups},
		"\x81\xa6action\xa1x":                        {},
		"\x82\xa6action\x05\xa4name":                 {},
		"\x05":                                       {},
		"":                                           {},
	} {
		if got, err := parseCommand(slices.Concat(head, []byte(tail))); err != nil || got.extension != want || got.group != "G" {
			t.Errorf("%q: %+v, %v", tail, got, err)
		}
	}
}

// ends records the end of a client.
func ends(c *hubtest.Client) <-chan error {
	ended := make(chan error, 1)
	c.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.To == client.Disconnected {
			ended <- change.Err
		}
	})
	return ended
}

// The copy of an own command that comes late does not end a client that has come back.
func TestLateCopiesOfEndsAreDropped(t *testing.T) {
	j := join(t, Options{})
	enter := func(node int, user string) (*hubtest.Client, <-chan error) {
		c := hubtest.New(t, j.hubs[node], hubtest.As(user))
		c.On("Say", client.Action1(func(_ context.Context, text string) error { j.said[node] <- text; return nil }))
		ended := ends(c)
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c, ended
	}
	_, first := enter(0, "carol")
	_, second := enter(1, "dave")
	if err := j.hubs[0].Clients().Users("carol", "dave").Send(t.Context(), "Say", "joined"); err != nil {
		t.Fatal(err)
	}
	j.want(t, 0, "joined")
	j.want(t, 1, "joined")
	j.broker[0].set(false, true)
	if err := j.hubs[0].CloseConnections(t.Context(), hub.Audience{}, "over", true); !errors.Is(err, ErrLost) {
		t.Errorf("a command that may be lost: %v", err)
	}
	wantEnd(t, <-first)
	j.broker[0].set(false, false)
	_, again := enter(0, "carol")
	j.broker[0].late()
	wantEnd(t, <-second)
	if err := j.hubs[1].Clients().All().Send(t.Context(), "Say", "still here"); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-j.said[0]:
		if got != "still here" {
			t.Errorf("got %q", got)
		}
	case err := <-again:
		t.Errorf("ended again: %v", err)
	}
}

func wantEnd(t *testing.T, err error) {
	t.Helper()
	if closed, ok := errors.AsType[*client.CloseError](err); !ok || closed.Message != "over" || !closed.AllowReconnect {
		t.Errorf("the end is %v", err)
	}
}
