package poller

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is the time limit of each wait in a test. No test asserts a duration.
const patience = time.Minute

// script is a Handler that reports what it consumes.
type script struct {
	conn     *Conn // whose deadline is removed once it has passed
	consumed chan consumption
	begun    chan struct{}
	exit     string // data after which Consume calls runtime.Goexit
	last     string // data after which Consume reports the end
}

type consumption struct {
	text string
	err  error
}

func newScript(c *Conn) *script {
	return &script{conn: c, consumed: make(chan consumption, 10), begun: make(chan struct{}, 1)}
}

// Begin implements Handler.
func (s *script) Begin() bool { s.begun <- struct{}{}; return true }

// Consume implements Handler.
func (s *script) Consume(b []byte, _ bool, err error) (rest []byte, over bool) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.conn.Await(0)
	}
	s.consumed <- consumption{string(b), err}
	if s.exit != "" && string(b) == s.exit {
		runtime.Goexit()
	}
	return nil, err != nil && !errors.Is(err, os.ErrDeadlineExceeded) || s.last != "" && string(b) == s.last
}

// Exited implements Handler.
func (s *script) Exited() (over bool) { return false }

// ActiveWindow implements Handler.
func (s *script) ActiveWindow() time.Duration { return time.Millisecond }

func (s *script) await(t *testing.T) consumption {
	t.Helper()
	select {
	case c := <-s.consumed:
		return c
	case <-time.After(patience):
		t.Fatal("nothing is consumed")
		return consumption{}
	}
}

// want waits for text and returns when that has been consumed.
func (s *script) want(t *testing.T, text string) {
	t.Helper()
	if got := s.await(t); got.err != nil || got.text != text {
		t.Fatalf("%q, %v; want %q", got.text, got.err, text)
	}
}

// pipe returns a TCP connection of p and its other end.
func pipe(t *testing.T, p *Poller, early string) (*Conn, net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	var c Conn
	c.Init(p, server, []byte(early))
	return &c, client
}

func parked(p *Poller) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.parked)
}

// awaitParked waits until p has n parked connections.
func awaitParked(t *testing.T, p *Poller, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); parked(p) != n; {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are parked, not %d", parked(p), n)
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // parking has no event
	}
}

func post(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// A parked connection is read again when data arrives, at its deadline, and when it is closed.
func TestParkedConnectionsAreWoken(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup
	p := New(&running)
	c, client := pipe(t, p, "")
	s := newScript(c)
	c.ServeParked(s)
	awaitParked(t, p, 1)
	post(t, client, "one")
	s.want(t, "one")
	awaitParked(t, p, 1)
	c.Await(time.Millisecond)
	if got := s.await(t); !errors.Is(got.err, os.ErrDeadlineExceeded) {
		t.Fatalf("%q, %v at the deadline", got.text, got.err)
	}
	awaitParked(t, p, 1)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got := s.await(t); !errors.Is(got.err, net.ErrClosed) {
		t.Errorf("%q, %v at the end", got.text, got.err)
	}
	running.Wait()
}

// Parked connections reach their deadlines in the order of those, although they were set and
// removed in another one, and none before its own.
func TestDeadlinesOfParkedConnections(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup
	p := New(&running)
	conns, scripts := make([]*Conn, 5), make([]*script, 5)
	for i := range conns {
		conns[i], _ = pipe(t, p, "")
		scripts[i] = newScript(conns[i])
		conns[i].Await(time.Duration(5-i) * time.Hour)
		conns[i].ServeParked(scripts[i])
	}
	awaitParked(t, p, 5)
	begun := time.Now()
	for _, i := range []int{2, 4, 0} {
		conns[i].Await(time.Duration(1+i) * 10 * time.Millisecond)
	}
	for _, i := range []int{0, 2, 4} {
		if got := scripts[i].await(t); !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d: %q, %v", i, got.text, got.err)
		}
		if since := time.Since(begun); since < time.Duration(1+i)*10*time.Millisecond {
			t.Errorf("connection %d reached its deadline after %v", i, since)
		}
	}
	for i, c := range conns {
		_ = c.Close()
		if got := scripts[i].await(t); !errors.Is(got.err, net.ErrClosed) {
			t.Errorf("connection %d: %q, %v at the end", i, got.text, got.err)
		}
	}
	running.Wait()
}

// Early bytes are consumed first, and a handler that exits its goroutine is called again.
func TestHandlerExits(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup
	p := New(&running)
	c, client := pipe(t, p, "early")
	s := newScript(c)
	s.exit = "exit"
	c.Serve(s)
	<-s.begun
	s.want(t, "early")
	post(t, client, "exit")
	s.want(t, "exit")
	post(t, client, "two")
	s.want(t, "two")
	_ = client.Close()
	if got := s.await(t); got.err == nil {
		t.Errorf("%q after the end", got.text)
	}
	running.Wait()
}

// A connection can be parked again after the HTTP server has had it for a while.
func TestParkedAfterBeingGivenBack(t *testing.T) {
	t.Parallel()
	var running sync.WaitGroup
	p := New(&running)
	other, _ := pipe(t, p, "")
	otherScript := newScript(other)
	other.ServeParked(otherScript) // keeps the poller's epoll instance
	c, client := pipe(t, p, "")
	s := newScript(c)
	s.last = "one"
	c.ServeParked(s)
	awaitParked(t, p, 2)
	post(t, client, "one")
	s.want(t, "one")
	awaitParked(t, p, 1)

	var again Conn
	again.Init(p, c.Conn, nil)
	next := newScript(&again)
	again.ServeParked(next)
	awaitParked(t, p, 2)
	post(t, client, "two")
	next.want(t, "two")
	_ = again.Close()
	next.await(t)
	_ = other.Close()
	otherScript.await(t)
	running.Wait()
}
