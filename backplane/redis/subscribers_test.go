//go:build unix

package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/backplane"
)

func subscribers(t *testing.T, b *Broker, channels ...string) []int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	counts, err := b.Subscribers(ctx, channels...)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// Subscriptions of all other brokers count, and the own ones do not.
func TestSubscribers(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	one, two, three := s.broker(Options{}), s.broker(Options{}), s.broker(Options{})
	var in inbox
	for _, b := range []*Broker{one, two, three} {
		if err := b.Subscribe(t.Context(), &in, "all"); err != nil {
			t.Fatal(err)
		}
	}
	for _, channel := range []string{"a é", "own"} {
		if err := one.Subscribe(t.Context(), &in, channel); err != nil {
			t.Fatal(err)
		}
	}
	if err := two.Subscribe(t.Context(), &in, "a é"); err != nil {
		t.Fatal(err)
	}
	if got := subscribers(t, one, "a é", "own", "all", "none", "a é"); !slices.Equal(got, []int{1, 0, 2, 0, 1}) {
		t.Errorf("%v", got)
	}
	if got := subscribers(t, three, "a é", "own", "all"); !slices.Equal(got, []int{2, 1, 2}) {
		t.Errorf("%v", got)
	}
	many := make([]string, batchSize+2)
	for i := range many {
		many[i] = fmt.Sprint("none ", i)
	}
	many[batchSize+1] = "all"
	if got := subscribers(t, three, many...); len(got) != len(many) || slices.Max(got[:batchSize+1]) != 0 || got[batchSize+1] != 2 {
		t.Errorf("%d counts, %v", len(got), got[batchSize:])
	}
	if got := subscribers(t, three); len(got) != 0 {
		t.Errorf("%v", got)
	}
	three.Close()
	if _, err := three.Subscribers(t.Context(), "all"); !errors.Is(err, backplane.ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	s.eventually("the closed broker does not count", func() bool { return subscribers(t, one, "all")[0] == 1 })
}

// However fast the own subscriptions change, they do not count, and that of another broker does.
func TestSubscribersWhileSubscriptionsChange(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	one, two := s.broker(Options{}), s.broker(Options{})
	var in inbox
	if err := two.Subscribe(t.Context(), &in, "a"); err != nil {
		t.Fatal(err)
	}
	s.eventually("the first broker is connected", func() bool { return one.State().Subscribed == 1 })
	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := one.Subscribe(t.Context(), &in, "a", "b"); err != nil {
				t.Error(err)
			}
			one.Unsubscribe("a", "b")
		}
	})
	for range 200 {
		if got := subscribers(t, one, "a", "b"); !slices.Equal(got, []int{1, 0}) {
			t.Errorf("%v", got)
			break
		}
	}
	close(stop)
	changing.Wait()
}

// Whatever a server answers to the question for subscriptions: only an answer that ends the
// connection for every other command ends it, too.
func TestAnswersAboutSubscribers(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"*2\r\n$1\r\na\r\n:5\r\n":      "",
		"-ERR unknown command\r\n":     "redis: ERR unknown command",
		"*0\r\n":                       errProtocol.Error(),
		"*-1\r\n":                      errProtocol.Error(),
		"*2\r\n$1\r\na\r\n$1\r\n5\r\n": errProtocol.Error(),
		":5\r\n":                       backplane.ErrUnavailable.Error(),
	} {
		in := newStandIn(t, func(command []string) string {
			if command[0] != "PUBSUB" {
				return ""
			}
			return answer
		})
		in.broken.Store(true)
		s := &server{t: t}
		b := s.broker(Options{URL: "redis://" + in.addr})
		s.eventually("the broker is connected", func() bool { return b.State().Subscribed == 1 })
		counts, err := b.Subscribers(t.Context(), "a")
		if got := fmt.Sprint(err); want == "" && (err != nil || counts[0] != 5) || want != "" && got != want {
			t.Errorf("%q: %v, %s, want %s", answer, counts, got, want)
		}
		if isLost := answer[0] == ':'; b.State().Degraded && !isLost {
			t.Errorf("%q: the connection is lost", answer)
		}
	}
}

// Without a server, with one that hangs, and without the right there is no answer, and the caller's
// context ends the wait. The connection stays as it is.
func TestSubscribersThatAreNotKnown(t *testing.T) {
	t.Parallel()
	down := newServer(t)
	if _, err := down.broker(Options{}).Subscribers(t.Context(), "a"); !errors.Is(err, backplane.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
	var in inbox
	_, b := subscribedToFrozen(t, &in)
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := errors.New("the caller has gone")
	cancel(failed)
	if _, err := b.Subscribers(ctx, "a"); !errors.Is(err, failed) {
		t.Errorf("a server that hangs: %v", err)
	}
	if b.State().Degraded {
		t.Error("the connection is lost")
	}
}
