//go:build unix

package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/testproc"
)

func TestPublications(t *testing.T) {
	s := startServer(t)
	for _, url := range []string{s.URL(), "valkey" + strings.TrimPrefix(s.URL(), "redis") + "/0"} {
		var in inbox
		one, two := s.broker(Options{URL: url}), s.broker(Options{URL: url})
		if err := one.Subscribe(t.Context(), &in, "a", "b é:"); err != nil {
			t.Fatal(err)
		}
		if err := two.Subscribe(t.Context(), &in); err != nil {
			t.Fatal(err)
		}
		s.eventually("the second broker is connected", func() bool { return two.State().Subscribed == 1 })
		for i := range 100 {
			if n := publish(t, two, fmt.Sprint(i), "a"); n != 1 {
				t.Fatalf("%d receivers", n)
			}
		}
		if n := publish(t, two, "\x00\xff", "a", "none", "b é:"); n != 2 {
			t.Errorf("%d receivers of two channels", n)
		}
		var want []string
		for i := range 100 {
			want = append(want, fmt.Sprint("a=", i))
		}
		want = append(want, "a=\x00\xff", "b é:=\x00\xff")
		s.eventually("all arrives", func() bool { return strings.Count(in.text(), "=") >= len(want) })
		if got := in.text(); got != strings.Join(want, " ") {
			t.Errorf("got %q", got)
		}
		one.Unsubscribe("a", "never")
		s.eventually("the channel is no longer subscribed", func() bool { return publish(t, two, "x", "a") == 0 })
		if err := one.Subscribe(t.Context(), &in, "a"); err != nil {
			t.Fatal(err)
		}
		if n := publish(t, two, "y", "a"); n != 1 {
			t.Errorf("%d receivers after a new subscription", n)
		}
		if got := one.State(); got.Degraded || got.Subscribed != 3 || got.Wanted != 3 {
			t.Errorf("state %+v", got)
		}
		one.Close()
		if _, err := one.Publish(t.Context(), nil, "a"); !errors.Is(err, backplane.ErrUnavailable) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// Without a server everything goes on without it, and is made up for when there is one.
func TestStartWithoutServer(t *testing.T) {
	s := newServer(t)
	b := s.broker(Options{})
	var in inbox
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Subscribe(ctx, &in, "a"); err != nil {
		t.Fatal(err)
	}
	if !b.State().Degraded {
		t.Error("not degraded")
	}
	if _, err := b.Publish(ctx, nil, "a"); !errors.Is(err, backplane.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	var late inbox
	if err := b.Subscribe(ctx, &late, "b", "c"); err != nil {
		t.Fatal(err)
	}
	b.Unsubscribe("b")
	s.Start()
	s.eventually("the broker is connected", func() bool { return !b.State().Degraded })
	if n := publish(t, b, "x", "a", "b", "c"); n != 2 {
		t.Errorf("%d receivers", n)
	}
	if got := b.State(); got.Subscribed != 3 || got.Gaps != 0 {
		t.Errorf("state %+v", got)
	}
	if got := fmt.Sprint(late.degraded); got != "[true false]" {
		t.Errorf("a receiver that comes while the broker is degraded: %v", got)
	}
}

// Each reason why there is no connection is logged, without the password, and not at each
// attempt.
func TestReasonsAreLogged(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var log testproc.Output
	s.broker(Options{URL: "redis://carillon:secret@" + s.Addr, Logger: logger(&log)})
	logged := func(text string) {
		t.Helper()
		s.eventually(text, func() bool { return strings.Contains(log.String(), text) })
	}
	logged("refused")
	s.Start()
	logged("WRONGPASS")
	s.Do("ACL", "SETUSER", "carillon", "on", ">secret", "allchannels", "allcommands")
	logged("Redis available")
	if text := log.String(); strings.Contains(text, "secret") {
		t.Errorf("log:\n%s", text)
	}
	var again testproc.Output
	b := &Broker{ctx: t.Context(), gate: floodgate.New(logger(&again)), reasons: make(map[string]bool)}
	defer b.gate.Close()
	lines := func(want int) {
		t.Helper()
		if text := again.String(); strings.Count(text, "Redis unavailable") != want {
			t.Errorf("want %d lines:\n%s", want, text)
		}
	}
	for port := range 100 {
		lost := &net.OpError{Op: "read", Source: &net.TCPAddr{Port: port}, Err: io.EOF}
		b.logLoss(lost)
		b.logLoss(errDeaf)
		b.logLoss(errors.Join(lost, fmt.Errorf("port %d: %w", port, errDeaf)))
	}
	lines(3)
	for i := range 100 {
		b.logLoss(fmt.Errorf("reason %d", i))
	}
	lines(maxLines)
	for range 100 { // a server that is lost again and again
		b.restore()
		b.degrade()
		b.logLoss(errDeaf)
	}
	lines(maxLines)
}

func TestSubscriptionsComeBack(t *testing.T) {
	s := startServer(t)
	b := s.broker(Options{})
	var in inbox
	all := make([]string, 3*batchSize+1)
	for i := range all {
		all[i] = fmt.Sprint("c", i)
	}
	if err := b.Subscribe(t.Context(), &in, all...); err != nil {
		t.Fatal(err)
	}
	for round, lose := range []func(){
		func() { s.Stop(); s.Start() },
		func() { s.Do("CLIENT", "KILL", "TYPE", "pubsub") },
		func() {
			s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			_, _ = b.Publish(t.Context(), nil, "x")
		},
	} {
		lose()
		s.eventually("the loss is noticed", func() bool { return b.State().Gaps == round+1 })
		s.eventually("the broker is connected again", func() bool { return !b.State().Degraded })
		if n := publish(t, b, "x", all...); n != len(all) {
			t.Errorf("round %d: %d channels are subscribed, want %d", round, n, len(all))
		}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if got := fmt.Sprint(in.degraded); got != "[true false true false true false]" {
		t.Errorf("changes: %v", got)
	}
}

// A server that hangs is lost after a second.
func TestFrozenServer(t *testing.T) {
	var in inbox
	s, b := subscribedToFrozen(t, &in)
	if _, err := b.Publish(t.Context(), []byte("x"), "a"); err == nil || errors.Is(err, backplane.ErrUnavailable) {
		t.Errorf("a publication that may arrive: %v", err)
	}
	s.eventually("the loss is noticed", func() bool { return b.State().Degraded })
	if _, err := b.Publish(t.Context(), []byte("x"), "a"); !errors.Is(err, backplane.ErrUnavailable) {
		t.Errorf("while it is lost: %v", err)
	}
	s.thaw()
	s.eventually("the broker is connected again", func() bool { return !b.State().Degraded })
	publish(t, b, "y", "a")
	s.eventually("it receives again", func() bool { return strings.HasSuffix(in.text(), "a=y") })
}

// Subscribing waits for the server, and no longer than its ctx.
func TestSubscribingEndsWithItsContext(t *testing.T) {
	var in inbox
	_, b := subscribedToFrozen(t, &in)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := b.Subscribe(ctx, &in, "b"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// The errors say nothing of the URL, because any part of it may belong to a password.
func TestWrongURL(t *testing.T) {
	for _, url := range []string{
		"", "localhost:6379", "http://localhost", "redis://", "redis://user:secret@", "redis://localhost/secret", "redis://localhost?db=secret", "redis://localhost?secret", "redis://localhost?;secret",
		"redis://localhost?addr=host2", "redis://localhost?master_set=m&addr=", "redis://localhost/0/secret", "unix:///redis.sock?secret",
		"redis://user:secret@[", "redis://:secret#@localhost", "redis://:sec/secret@localhost", "redis://:12/secret@localhost", "redis://:%secret@localhost",
		"unix://", "unix://user:secret@host/path",
	} {
		if err := CheckURL(url); err == nil || strings.Contains(err.Error(), "sec") {
			t.Errorf("%q: %v", url, err)
		}
		if _, err := New(Options{URL: url}); err == nil {
			t.Errorf("%q is accepted", url)
		}
	}
	for _, url := range []string{"redis://localhost", "rediss://user:p%40ss@localhost:6379/0", "valkeys://[::1]?master_set=m&addr=[::2]:1&addr=host",
		"unix:///run/redis.sock", "unix://user:password@/run/redis.sock"} {
		if err := CheckURL(url); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// The rights that docs/scale-out.md names are enough.
func TestUserWithFewRights(t *testing.T) {
	s := startServer(t)
	rights := []string{"on", ">secret", "resetchannels", "&app:*", "&carillon:*", "-@all", "+publish", "+subscribe", "+unsubscribe"}
	s.Do(append([]string{"ACL", "SETUSER", "older"}, rights...)...)
	s.Do(append([]string{"ACL", "SETUSER", "carillon"}, append(rights, "+pubsub|numsub")...)...)
	s.Do("ACL", "SETUSER", "default", "off")
	b, older := s.broker(Options{URL: "redis://carillon:secret@" + s.Addr}), s.broker(Options{URL: "redis://older:secret@" + s.Addr})
	var in inbox
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, b := range []*Broker{b, older} {
		if err := b.Subscribe(ctx, &in, "app:a"); err != nil {
			t.Fatal(err)
		}
	}
	if n := publish(t, b, "x", "app:a"); n != 2 {
		t.Errorf("%d receivers", n)
	}
	if _, err := b.Publish(ctx, nil, "other"); err == nil || !strings.Contains(err.Error(), "NOPERM") || b.State().Degraded {
		t.Errorf("a channel without the right: %v", err)
	}
	if got := subscribers(t, b, "app:a"); got[0] != 1 {
		t.Errorf("%d other subscriptions", got[0])
	}
	if _, err := older.Subscribers(ctx, "app:a"); err == nil || !strings.Contains(err.Error(), "NOPERM") || older.State().Degraded {
		t.Errorf("without the right to count subscriptions: %v", err)
	}
}
