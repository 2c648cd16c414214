package main

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"

	"github.com/carillon-go/carillon/examples/chat/contract"
)

// join returns a client that has joined a room, and the messages that it has got.
func join(t *testing.T, h *hub.Hub, c *chat, room, name string) (*hubtest.Client, []contract.Message) {
	t.Helper()
	client := hubtest.Connect(t, h, hubtest.Options{})
	latest, err := c.Join(client.Context(), room, name)
	if err != nil {
		t.Fatal(err)
	}
	return client, latest
}

// said returns the messages that a client has received.
func said(client *hubtest.Client) (all []string) {
	for _, call := range client.Received() {
		if call.Method == "Said" {
			m := call.Args[0].(contract.Message)
			all = append(all, m.Name+": "+m.Text)
		}
	}
	return all
}

func TestAMessageReachesItsRoom(t *testing.T) {
	h := hub.New(hub.Options{})
	c := newChat(h)
	ann, _ := join(t, h, c, "den", "Ann")
	ben, _ := join(t, h, c, "den", "Ben")
	cleo, _ := join(t, h, c, "hall", "Cleo")
	if err := c.Say(ann.Context(), " hello "); err != nil {
		t.Fatal(err)
	}
	if got := said(ben); !slices.Equal(got, []string{"Ann: hello"}) {
		t.Errorf("Ben got %q", got)
	}
	if got := said(cleo); got != nil {
		t.Errorf("Cleo got %q", got)
	}
}

func TestANewcomerGetsTheLatestMessages(t *testing.T) {
	h := hub.New(hub.Options{})
	c := newChat(h)
	ann, _ := join(t, h, c, "den", "Ann")
	for i := range maxLatest + 1 {
		if err := c.Say(ann.Context(), strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	_, latest := join(t, h, c, "den", "Ben")
	if len(latest) != maxLatest || latest[0].Text != "1" || latest[maxLatest-1].Text != strconv.Itoa(maxLatest) {
		t.Errorf("Ben got %v", latest)
	}
}

func TestARoomShowsItsPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		c := newChat(h)
		ann, _ := join(t, h, c, "den", "Ann")
		ben, _ := join(t, h, c, "den", "Ben")
		if err := ann.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // until the hub has seen the end
		want := []hubtest.Call{
			hubtest.Called("Present", []string{"Ann", "Ben"}),
			hubtest.Called("Present", []string{"Ben"}),
		}
		if got := ben.Received(); !reflect.DeepEqual(got, want) {
			t.Errorf("Ben got %v, want %v", got, want)
		}
	})
}

func TestASecondRoomIsRefused(t *testing.T) {
	h := hub.New(hub.Options{})
	c := newChat(h)
	ann, _ := join(t, h, c, "den", "Ann")
	if _, err := c.Join(ann.Context(), "hall", "Ann"); err == nil {
		t.Error("Ann is in two rooms")
	}
}
