package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
)

func onlyDisconnected(url string) Settings {
	return Settings{MaxRequests: 4, Templates: []Template{{URL: url, Categories: []string{"connections"}, Events: []string{"disconnected"}, Timeout: patience}}}
}

func TestDisconnectedEventsAreRepeated(t *testing.T) {
	var n atomic.Int32
	b := newBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	l := newLab(t, onlyDisconnected(b.URL), hub.Options{})
	c := hubtest.Connect(t, l.hub, hubtest.Options{})
	_ = c.Stop(t.Context())
	first, second := b.next(t), b.next(t)
	if first.header.Get("Webhook-Id") != second.header.Get("Webhook-Id") || second.body != `{"type":11}` {
		t.Errorf("the attempts are %v %s and %v %s", first.header, first.body, second.header, second.body)
	}
}

func TestDisconnectedEventsThatAreRefusedAreNotRepeated(t *testing.T) {
	b := newBackend(t, http.NotFound)
	l := newLab(t, onlyDisconnected(b.URL), hub.Options{})
	c := hubtest.Connect(t, l.hub, hubtest.Options{})
	id := c.ConnectionID()
	if err := l.hub.Disconnect(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if r := b.next(t); !strings.Contains(r.body, `"error":"`+hub.ErrAborted.Error()) || r.header.Get("X-ASRS-Connection-Id") != id {
		t.Errorf("the event is %s %v", r.body, r.header)
	}
	if err := l.Shutdown(t.Context()); err != nil || len(b.requests) > 0 {
		t.Errorf("there are %d more requests, %v", len(b.requests), err)
	}
}

// The end of the program waits for the events, each of which gets one more attempt.
func TestShutdownSendsTheEventsThatWait(t *testing.T) {
	release := make(chan struct{})
	b := newBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	l := newLab(t, onlyDisconnected(b.URL), hub.Options{})
	for range 10 {
		hubtest.Connect(t, l.hub, hubtest.Options{})
	}
	if err := l.hub.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := l.Stats().Queued; n != 10 {
		t.Errorf("%d events wait", n)
	}
	ended := make(chan error, 1)
	go func() { ended <- l.Shutdown(t.Context()) }()
	<-l.outbox.closing
	close(release)
	if err := <-ended; err != nil || len(b.requests) != 11 || l.Stats() != (Stats{}) { // one of them ran already
		t.Errorf("the backend got %d events, %v, %+v", len(b.requests), err, l.Stats())
	}
}

// An event that waits for its repetition gets it at the end of the program, without the pause.
func TestShutdownRepeatsTheEventsThatHaveFailed(t *testing.T) {
	var n atomic.Int32
	b := newBackend(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	l := newLab(t, onlyDisconnected(b.URL), hub.Options{})
	hubtest.Connect(t, l.hub, hubtest.Options{})
	if err := l.hub.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.next(t)
	if err := l.Shutdown(t.Context()); err != nil || l.meter.count("disconnected ok") != 1 {
		t.Errorf("the end is %v, the meter has %v", err, l.meter.counts)
	}
}

// The body of the answer to an event, or to an invocation without an id, is not read to its end,
// and is no failure.
func TestBodiesThatDoNotMatter(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"20 MB declared": declare(20 << 20), "20 MB": faults["20 MB"].answer, "dies in the body": faults["dies in the body"].answer,
	} {
		b := newBackend(t, answer)
		l := newLab(t, Settings{Templates: []Template{{URL: b.URL, Timeout: patience}}}, hub.Options{})
		c := hubtest.Connect(t, l.hub, hubtest.Options{})
		if err := c.Send(t.Context(), "Say"); err != nil {
			t.Fatal(err)
		}
		b.next(t)
		b.next(t)
		if err := l.hub.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, event := range []string{"connected", "message", "disconnected"} {
			if l.meter.count(event+" ok") != 1 {
				t.Errorf("%s: the meter has %v", name, l.meter.counts)
			}
		}
	}
}

func TestShutdownDropsTheEventsThatAreLate(t *testing.T) {
	b := newBackend(t, hang)
	l := newLab(t, onlyDisconnected(b.URL), hub.Options{})
	for range 10 {
		hubtest.Connect(t, l.hub, hubtest.Options{})
	}
	if err := l.hub.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := l.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || l.meter.count("disconnected dropped") != 10 {
		t.Errorf("the end is %v, the meter has %v", err, l.meter.counts)
	}
	if !strings.Contains(l.log.String(), "the event is dropped") {
		t.Errorf("the log has %s", l.log)
	}
}

func TestEventsThatWaitAreBounded(t *testing.T) {
	b := newBackend(t, hang)
	l := newLab(t, onlyDisconnected(b.URL), hub.Options{})
	r := l.plan.Load().find(connections, disconnected)
	size := 0
	for i := range 10_000 {
		e := &event{category: connections, name: disconnected, connection: fmt.Sprint(i), query: strings.Repeat("q", maxQuery)}
		size = e.size()
		l.outbox.add(e, r)
	}
	if n := l.Stats().Queued; n*size > maxOutbox+size*l.outbox.most() || l.meter.count("disconnected dropped") != 10_000-n {
		t.Errorf("%d events of %d bytes wait, %v", n, size, l.meter.counts)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = l.Shutdown(ctx)
}
