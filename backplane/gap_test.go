package backplane

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// An application hears of a gap when the broker is back, and once of many messages that were dropped.
// It can send to its clients then, and may panic.
func TestGaps(t *testing.T) {
	var j *joined
	gaps := make(chan Gap, 10)
	began := time.Now()
	j = join(t, Options{OnGap: func(ctx context.Context, g Gap) {
		if err := j.hubs[0].Clients().Local().All().Send(ctx, "Say", "fetch"); err != nil {
			t.Error(err)
		}
		gaps <- g
		panic("as asked")
	}})
	for range 2 {
		j.broker[0].Changed(true)
		j.broker[0].Changed(true)
		select {
		case g := <-gaps:
			t.Fatalf("%+v before the broker is back", g)
		default:
		}
		j.broker[0].Changed(false)
		if g := <-gaps; g.Overflown || g.Since.Before(began) {
			t.Errorf("%+v", g)
		}
		j.want(t, 0, "fetch")
	}
	for range 1000 {
		j.planes[0].overflow()
	}
	if g := <-gaps; !g.Overflown || g.Since.Before(began) {
		t.Errorf("%+v", g)
	}
	j.planes[0].Close()
	if len(gaps) > 0 || j.planes[0].Stats().Overflown != 1000 {
		t.Errorf("%d more gaps, %+v", len(gaps), j.planes[0].Stats())
	}
}

// With LocalFirst the own clients get a message before it is published, once, and in the order of
// its sender.
func TestLocalFirst(t *testing.T) {
	j := join(t, Options{LocalFirst: true})
	all := j.hubs[0].Clients().All()
	j.broker[0].mu.Lock() // publishing waits
	sent := make(chan error, 1)
	go func() { sent <- all.Send(t.Context(), "Say", "first") }()
	j.want(t, 0, "first")
	select {
	case err := <-sent:
		t.Fatal("sent before it is published: ", err)
	case text := <-j.said[1]:
		t.Fatalf("%q at the other process", text)
	default:
	}
	j.broker[0].mu.Unlock()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	j.want(t, 1, "first")
	for i := range 100 {
		to := []hub.Sender{all, j.hubs[0].Clients().User("alice")}[i%2]
		if err := to.Send(t.Context(), "Say", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		j.want(t, 0, fmt.Sprint(i))
		if i%2 == 0 {
			j.want(t, 1, fmt.Sprint(i))
		}
	}
	if err := j.hubs[1].Clients().All().Send(t.Context(), "Say", "last"); err != nil {
		t.Fatal(err)
	}
	j.want(t, 0, "last")
	if n := j.planes[0].copies.count.Load(); n != 0 {
		t.Errorf("%d copies are kept", n)
	}
}
