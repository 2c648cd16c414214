//go:build unix

package redis

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/internal/testproc"
)

// relay passes connections on to a server, and can hold back what the server sends on the
// connection that subscribes: then that connection is deaf, and everything else works.
type relay struct {
	addr    string
	silent  atomic.Bool
	late    atomic.Bool   // the server's answers on the connection that subscribes come slowly
	pause   time.Duration // after each piece for the server
	running sync.WaitGroup
}

func newRelay(t *testing.T, to string, pause time.Duration) *relay {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), pause: pause}
	t.Cleanup(func() {
		l.Close()
		r.running.Wait()
	})
	r.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.running.Go(func() { r.pass(c, to) })
		}
	})
	return r
}

func (r *relay) pass(c net.Conn, to string) {
	defer c.Close()
	s, err := new(net.Dialer).DialContext(context.Background(), "tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	var subscribes atomic.Bool
	var both sync.WaitGroup
	both.Go(func() {
		defer s.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			if bytes.Contains(buffer[:n], []byte("SUBSCRIBE")) {
				subscribes.Store(true)
			}
			if _, err = s.Write(buffer[:n]); err != nil {
				return
			}
			time.Sleep(r.pause) // a slow network
		}
	})
	both.Go(func() {
		defer c.Close()
		buffer := make([]byte, 4096)
		for {
			n, err := s.Read(buffer)
			if err != nil {
				return
			}
			if r.silent.Load() && subscribes.Load() && bytes.Contains(buffer[:n], []byte("message")) {
				continue
			}
			if r.late.Load() && subscribes.Load() {
				time.Sleep(10 * time.Millisecond) // a slow network
			}
			if _, err = c.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	both.Wait()
}

// A connection on which nothing arrives although the server believes that it is subscribed is
// found, and replaced.
func TestDeafConnection(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := newRelay(t, s.Addr, 0)
	b := s.broker(Options{URL: "redis://" + r.addr})
	var in inbox
	if err := b.Subscribe(t.Context(), &in, "a"); err != nil {
		t.Fatal(err)
	}
	r.silent.Store(true)
	if n := publish(t, b, "x", "a"); n != 1 {
		t.Fatalf("%d receivers", n)
	}
	s.eventually("the loss is noticed", func() bool { return b.State().Gaps > 0 })
	r.silent.Store(false)
	s.eventually("the broker is connected again", func() bool { return !b.State().Degraded })
	publish(t, b, "y", "a")
	s.eventually("it receives again", func() bool { return in.text() == "a=y" })
}

// A publication that needs a while for its size is no loss, nor is a small one behind it.
func TestLargePublication(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := newRelay(t, s.Addr, 15*time.Millisecond) // some 4 MB/s
	b := s.broker(Options{URL: "redis://" + r.addr})
	var in inbox
	if err := b.Subscribe(t.Context(), &in, "a"); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for _, size := range []int{8 << 20, 1} {
		both.Go(func() {
			if _, err := b.Publish(t.Context(), make([]byte, size), "b"); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if gaps := b.State().Gaps; gaps != 0 {
		t.Errorf("%d losses", gaps)
	}
}

// While large publications are on their way, channels are subscribed.
func TestSubscribingDuringLargePublications(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := newRelay(t, s.Addr, 15*time.Millisecond) // some 4 MB/s
	b := s.broker(Options{URL: "redis://" + r.addr})
	var in inbox
	if err := b.Subscribe(t.Context(), &in, "a"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { _, _ = b.Publish(t.Context(), make([]byte, 12<<20), "b") })
	}
	published := make(chan struct{})
	go func() {
		defer close(published)
		all.Wait()
	}()
	s.eventually("a probe is on its way", b.probe.asked.Load)
	if err := b.Subscribe(t.Context(), &in, "c"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-published:
		t.Error("the subscription has waited for the publications")
	default:
	}
	<-published
}

// Publications wait when many bytes are on their way, and a large payload has small batches.
func TestPublicationsAreBounded(t *testing.T) {
	t.Parallel()
	l := &link{written: make(chan struct{}, 1)}
	l.ctx, l.fail = context.WithCancelCause(t.Context())
	b := &Broker{link: l}
	payload := make([]byte, 16<<20)
	published := make(chan error)
	publish := func(ctx context.Context) {
		go func() { _, err := b.Publish(ctx, payload, "a", "b", "c"); published <- err }()
	}
	for range 4 {
		publish(t.Context())
		<-l.written
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Publish(ended, payload, "d"); !errors.Is(err, context.Canceled) || len(l.waiting) != 4 {
		t.Errorf("%v, %d on their way", err, len(l.waiting))
	}
	publish(t.Context())
	if err := l.answer(&reply{kind: ':', number: 1}); err != nil {
		t.Error(err)
	}
	<-l.written // the next channel, or another publication
	l.fail(errDeaf)
	for range 5 {
		if err := <-published; !errors.Is(err, backplane.ErrLost) {
			t.Error(err)
		}
	}
}

// A payload that takes long to come delays confirmations and probes behind it, and is no loss.
func TestLargePayload(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	r := newRelay(t, s.Addr, 0)
	var log testproc.Output
	b, sender := s.broker(Options{URL: "redis://" + r.addr, Logger: logger(&log)}), s.broker(Options{})
	var in inbox
	if err := errors.Join(b.Subscribe(t.Context(), &in, "a"), sender.Subscribe(t.Context(), &in, "connected")); err != nil {
		t.Fatal(err)
	}
	r.late.Store(true) // below 400 kB/s
	payload := strings.Repeat("x", 2<<20)
	publish(t, sender, payload, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := b.Subscribe(ctx, &in, "b"); err != nil {
		t.Fatal(err)
	}
	if lines := losses(&log); len(lines) > 0 {
		t.Errorf("losses: %q", lines)
	}
	if !strings.Contains(log.String(), "Redis unavailable") && in.text() != "a="+payload {
		t.Errorf("%d bytes are received", len(in.text()))
	}
}
