//go:build unix

package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/testproc"
)

// A publication that nobody receives yet, on a channel that is being subscribed, is no sign
// that the subscribing connection is deaf.
func TestPublishingWhileSubscribing(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var log testproc.Output
	b := s.broker(Options{Logger: logger(&log)})
	var in inbox
	if err := b.Subscribe(t.Context(), &in, "connected"); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for i := range 500 {
		channel := fmt.Sprint("c", i)
		both.Go(func() {
			if err := b.Subscribe(t.Context(), &in, channel); err != nil {
				t.Error(err)
			}
		})
		for range 3 {
			both.Go(func() { _, _ = b.Publish(t.Context(), nil, channel) })
		}
		both.Wait()
	}
	if strings.Contains(log.String(), errDeaf.Error()) {
		t.Errorf("log:\n%s", &log)
	}
}

// Everything ends when a backplane and its broker are closed while messages are sent, groups
// change, and connections to the server are lost.
func TestClosingWhileEverythingHappens(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for round := range 4 {
		b := s.broker(Options{})
		plane := backplane.New(b, backplane.Options{Hub: "Chat"})
		h := hub.New(hub.Options{Backplane: plane})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for worker := range 8 {
			group := hub.Audience{Kind: hub.InGroups, Names: []string{fmt.Sprint("g", worker%3)}}
			running.Go(func() {
				for ctx.Err() == nil {
					_ = plane.Join(ctx, group)
					_ = h.Clients().Group(group.Names[0]).Send(ctx, "Say", worker)
					_ = h.Clients().All().Send(ctx, "Say", worker)
					_, _ = plane.Ask(ctx, "nobody", hub.Message{ID: "x"})
					plane.Leave(group)
				}
			})
		}
		if err := plane.Join(t.Context(), hub.Audience{Kind: hub.OfUsers, Names: []string{"u"}}); err != nil {
			t.Fatal(err)
		}
		switch round {
		case 1:
			s.Do("CLIENT", "KILL", "TYPE", "pubsub")
		case 2:
			s.freeze()
		case 3:
			cancel()
		}
		closers := []func(){plane.Close, b.Close}
		if round%2 == 1 {
			slices.Reverse(closers)
		}
		for _, closes := range closers {
			closes()
		}
		cancel()
		running.Wait()
		if round == 2 {
			s.thaw()
		}
	}
}
