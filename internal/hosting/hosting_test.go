package hosting_test

import (
	"context"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/internal/hosting"
)

// newHub returns a hub with the method Echo.
func newHub(o hosting.Options) *hosting.Hub {
	h := hosting.New("chat", o)
	h.Hub.Handle("Echo", hub.Func1(func(_ context.Context, text string) (string, error) { return text, nil }))
	return h
}

// An invocation that is not allowed fails as that of a method that does not exist.
func TestInvocationsOfOtherTargetsFindNoMethod(t *testing.T) {
	for _, c := range []struct {
		invoke  []string
		allowed bool
	}{
		{nil, false}, {[]string{"other"}, false}, {[]string{"ech"}, false}, {[]string{"echos*"}, false},
		{[]string{"*"}, true}, {[]string{"other", "eCHo"}, true}, {[]string{"ec*"}, true}, {[]string{"echo*"}, true},
	} {
		h := newHub(hosting.Options{Invoke: c.invoke})
		caller := hubtest.Connect(t, h.Hub, hubtest.Options{})
		got, err := client.Invoke[string](t.Context(), caller.HubConnection, "Echo", "hello")
		_, none := client.Invoke[string](t.Context(), caller.HubConnection, "Ecko", "hello")
		if none == nil || c.allowed && (err != nil || got != "hello") {
			t.Errorf("%v: %q, %v, %v", c.invoke, got, err, none)
		}
		if !c.allowed && (err == nil || err.Error() != strings.ReplaceAll(none.Error(), "Ecko", "Echo")) {
			t.Errorf("%v: %v, want the error of a method that does not exist: %v", c.invoke, err, none)
		}
	}
}

// A hub is found by its name in any case.
func TestHubsAreFoundByName(t *testing.T) {
	chat, news := hosting.New("chat", hosting.Options{}), hosting.New("News", hosting.Options{})
	hubs := hosting.NewHubs(chat, news)
	for name, want := range map[string]*hosting.Hub{"chat": chat, "CHAT": chat, "news": news, "": nil, "chats": nil} {
		if got := hubs.Find(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	if new(hosting.Hubs).Find("chat") != nil {
		t.Error("no hubs have a hub")
	}
}

// outgoing is a backplane that notes how the messages to it are delivered.
type outgoing struct {
	hub.Backplane
	delivery *frame.Delivery
}

func (*outgoing) Attach(hub.Local) {}

func (o *outgoing) Send(_ context.Context, _ hub.Audience, m hub.Message) error {
	o.delivery = m.Delivery
	return nil
}

// A message has the policy of its target, in any case, and otherwise that of the hub.
func TestClientsHaveThePolicyOfTheTarget(t *testing.T) {
	plane := &outgoing{}
	h := hosting.New("prices", hosting.Options{
		Options:     hub.Options{SlowConsumers: hub.DropOldest, Backplane: plane},
		SlowTargets: map[string]hub.SlowPolicy{"price": hub.Conflate},
	})
	for target, want := range map[string]*frame.Delivery{
		"price": {Policy: hub.Conflate, Key: "price"}, "PRICE": {Policy: hub.Conflate, Key: "PRICE"}, "news": nil,
	} {
		if err := h.Clients(target).All().Send(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		if got := plane.delivery; (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: got %v, want %v", target, got, want)
		}
	}
}
