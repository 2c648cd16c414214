package client

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/testproc"
)

var lifetimes = flag.Int("lifetimes", 2, "lifetimes of access tokens that a connection has to outlive")

// Tokens live for tokenLife. If the host is too slow for that, so that a refresh has no answer within the
// half of its token's life that it has, the test begins again with twice the time, up to maxTokenLife.
const (
	tokenLife    = 6 * time.Second
	maxTokenLife = 24 * time.Second
)

// clockServer is a clock behind bearer tokens: it shows the time to all clients once a second.
type clockServer struct {
	*testing.T
	addr    string
	key     []byte
	command []string
	process *exec.Cmd
	life    time.Duration // of a token
}

// startClock starts a program with the arguments that command makes of the address and the file of the key.
func startClock(t *testing.T, command func(addr, key string) []string) *clockServer {
	t.Helper()
	if testing.Short() {
		t.Skip("waits for the lifetimes of several tokens")
	}
	s := &clockServer{T: t, addr: testproc.FreeAddress(), key: []byte(rand.Text() + rand.Text()), life: tokenLife}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, s.key, 0o600); err != nil {
		t.Fatal(err)
	}
	s.command = command(s.addr, file)
	s.start()
	t.Cleanup(s.kill)
	return s
}

// start waits until the server takes connections; the original's says nothing.
func (s *clockServer) start() {
	s.Helper()
	s.process = exec.Command(s.command[0], s.command[1:]...)
	if err := s.process.Start(); err != nil {
		s.Fatal(err)
	}
	(&rig{T: s.T}).until("the server", func() bool {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// kill ends the server without a word.
func (s *clockServer) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// token returns a JWT of a user.
func (s *clockServer) token(life time.Duration) (string, error) {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil, `{"sub":"alice","exp":%d}`, time.Now().Add(life).Unix()))
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil)), nil
}

// watcher is one connection to the clock.
type watcher struct {
	*HubConnection
	name      string
	life      time.Duration // of its tokens
	refreshed atomic.Int32

	mu        sync.Mutex
	ticks     []int64
	connected int
	failed    []error
}

func (s *clockServer) watch(c combo) *watcher {
	r := &rig{T: s.T, combo: c}
	o := r.options()
	life := s.life // a call may outlast its connection
	o.AccessToken = func(context.Context) (string, error) { return s.token(life) }
	o.Reconnect = ReconnectForever(100*time.Millisecond, time.Second)
	w := &watcher{HubConnection: r.open("http://"+s.addr+"/hubs/clock", o), name: c.String(), life: life}
	w.On("ShowTime", Action1(func(_ context.Context, now time.Time) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if now.Year() > 1970 { // the original answers a refresh with another one
			w.ticks = append(w.ticks, now.UnixNano()/100)
		}
		return nil
	}))
	w.OnStateChange(func(_ context.Context, change StateChange) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if change.To == Connected {
			w.connected++
		}
	})
	w.OnAuthenticationRefreshed(func(context.Context, time.Duration) { w.refreshed.Add(1) })
	w.OnAuthenticationRefreshFailed(func(_ context.Context, err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.failed = append(w.failed, err)
	})
	r.start(w.HubConnection)
	return w
}

// await waits until there were so many refreshes, or, if mayBeLate is set, until one was late.
func (w *watcher) await(t *testing.T, want int32, mayBeLate bool) {
	t.Helper()
	deadline := time.Now().Add(time.Duration(want)*w.life + patience)
	for w.refreshed.Load() < want {
		if mayBeLate && w.isLate() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d refreshes, want %d; failed %v", w.name, w.refreshed.Load(), want, w.failures())
		}
		time.Sleep(10 * time.Millisecond) // the callback has no event of its own here
	}
}

func (w *watcher) failures() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.failed)
}

func TestOriginalLifetimes(t *testing.T) {
	t.Parallel()
	program := reference(t, "aspnet11")
	outlive(t, startClock(t, func(addr, key string) []string { return []string{program, "clock", "-addr", addr, "-key", key} }))
}

func TestCarillonLifetimes(t *testing.T) {
	t.Parallel()
	program, err := testproc.Build("../cmd/gateway")
	if err != nil {
		t.Fatal(err)
	}
	outlive(t, startClock(t, func(addr, key string) []string { return []string{program, "--addr", addr, "--jwt-key", key} }))
}

// outlive: connections outlive their tokens on each transport and protocol, without a reconnect or a lost tick. When the
// server restarts they come back, and go on refreshing.
func outlive(t *testing.T, s *clockServer) {
	t.Helper()
	all := s.watchAll(t)
	for slices.ContainsFunc(all, (*watcher).isLate) && s.life < maxTokenLife {
		t.Logf("tokens of %v are too short for this host", s.life)
		for _, w := range all {
			if err := w.Stop(t.Context()); err != nil {
				t.Errorf("%s: Stop: %v", w.name, err)
			}
		}
		s.life *= 2
		all = s.watchAll(t)
	}
	checkTicks(t, all)
	for _, w := range all {
		w.mu.Lock()
		if w.connected != 1 || len(w.failed) > 0 || w.State() != Connected {
			t.Errorf("%s: connected %d times; %v; failed %v", w.name, w.connected, w.State(), w.failed)
		}
		w.mu.Unlock()
	}
	s.kill()
	s.start()
	var before []int32
	for _, w := range all {
		before = append(before, w.refreshed.Load())
	}
	for i, w := range all {
		w.await(t, before[i]+3, false)
		w.mu.Lock()
		if w.connected < 2 {
			t.Errorf("%s: connected %d times", w.name, w.connected)
		}
		w.mu.Unlock()
	}
}

// watchAll opens all connections and waits until they have outlived their tokens, or one was too late for that.
func (s *clockServer) watchAll(t *testing.T) (all []*watcher) {
	t.Helper()
	for _, c := range combos() {
		all = append(all, s.watch(c))
	}
	for _, w := range all {
		w.await(t, int32(2**lifetimes), s.life < maxTokenLife) // each time half of one is over
	}
	return all
}

// isLate reports whether a refresh had no answer before the end of its token's life.
func (w *watcher) isLate() bool {
	return slices.ContainsFunc(w.failures(), func(err error) bool { return errors.Is(err, context.DeadlineExceeded) })
}

// awaitTick waits for a tick after a moment: all earlier ones have been shown then, or were lost.
func (w *watcher) awaitTick(t *testing.T, moment int64) {
	t.Helper()
	(&rig{T: t}).until("a tick of "+w.name, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.ticks) > 0 && w.ticks[len(w.ticks)-1] > moment
	})
}

// checkTicks: what one connection was shown, all were.
func checkTicks(t *testing.T, all []*watcher) {
	t.Helper()
	shown := make(map[int64]int)
	from, to := int64(0), time.Now().UnixNano()/100
	for _, w := range all {
		w.awaitTick(t, to)
	}
	for _, w := range all {
		w.mu.Lock()
		from = max(from, w.ticks[0])
		for _, tick := range w.ticks {
			shown[tick]++
		}
		w.mu.Unlock()
	}
	for tick, times := range shown {
		if from <= tick && tick <= to && times != len(all) {
			t.Errorf("the tick of %v was shown to %d connections of %d", time.Unix(0, tick*100), times, len(all))
		}
	}
}
