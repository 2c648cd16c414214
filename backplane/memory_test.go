package backplane

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Joined hubs are one for their clients, and keep nothing of those that have left.
func TestMemoryJoinsHubs(t *testing.T) {
	var m Memory
	one, two := hub.New(hub.Options{Backplane: m.Node()}), hub.New(hub.Options{Backplane: m.Node()})
	connected := make(chan struct{}, 1)
	two.OnConnected(func(context.Context) error { connected <- struct{}{}; return nil })
	t.Run("with a client", func(t *testing.T) {
		said := make(chan string, 2)
		bob := hubtest.New(t, two, hubtest.As("bob"))
		bob.On("Say", client.Action1(func(_ context.Context, text string) error { said <- text; return nil }))
		if err := bob.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-connected // it has joined
		ctx, id := t.Context(), bob.ConnectionID()
		if err := one.Groups().Add(ctx, id, "g"); err != nil {
			t.Fatal(err)
		}
		for i, to := range []hub.Sender{one.Clients().Group("g"), one.Clients().User("bob"), one.Clients().Client(id), one.Clients().All()} {
			text := string(rune('a' + i))
			if err := to.Send(ctx, "Say", text); err != nil {
				t.Fatal(err)
			}
			if got := <-said; got != text {
				t.Errorf("bob got %q, want %q", got, text)
			}
		}
		if err := one.Groups().Remove(ctx, id, "g"); err != nil {
			t.Fatal(err)
		}
		if n := m.nodes[1].members[topic{hub.InGroups, "g"}]; n != 0 {
			t.Errorf("%d members are left in the group", n)
		}
	})
	for _, n := range m.nodes {
		if len(n.members) > 0 {
			t.Errorf("without clients: %v", n.members)
		}
	}
}
