package transports_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/connection/connectiontest"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/longpolling"
	"github.com/carillon-go/carillon/transports/serversentevents"
	"github.com/carillon-go/carillon/transports/websockets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWebSockets(t *testing.T) {
	runSuite(t, carrier{kind: transports.WebSockets, carry: websockets.Carry})
}

func TestServerSentEvents(t *testing.T) {
	of := carrier{kind: transports.ServerSentEvents, carry: serversentevents.Carry}
	t.Run("HTTP/1.1", func(t *testing.T) { runSuite(t, of) })
	t.Run("within the HTTP server", func(t *testing.T) {
		of.carry = func(r *connection.Registry) connection.Carry {
			carry := serversentevents.Carry(r)
			return func(w http.ResponseWriter, r *http.Request, c *connection.Connection) {
				carry(connectiontest.Kept{ResponseWriter: w}, r, c)
			}
		}
		runSuite(t, of)
	})
}

func TestLongPolling(t *testing.T) {
	of := carrier{kind: transports.LongPolling, carry: longpolling.Carry}
	t.Run("outside of the HTTP server", func(t *testing.T) { runSuite(t, of) })
	t.Run("within the HTTP server", func(t *testing.T) {
		of.keepPolls = true
		runSuite(t, of)
	})
}

// carrier is the carrier that the suite tests.
type carrier struct {
	kind      transports.Type
	carry     func(*connection.Registry) connection.Carry
	keepPolls bool // see transports.Options.KeepPollsInServer
}

// runSuite runs the tests that every carrier must pass.
func runSuite(t *testing.T, of carrier) {
	start := func(t *testing.T, o transports.Options) *server {
		t.Helper()
		return newServer(t, of, o)
	}
	for name, test := range map[string]func(t *testing.T, start starter){
		"order":               testOrder,
		"posts before":        testPostsBefore,
		"large":               testLarge,
		"close goes out":      testClose,
		"close at once":       testCloseAtOnce,
		"abort":               testAbort,
		"refused":             testRefused,
		"client leaves":       testLeave,
		"client drops":        testDrop,
		"a burst":             testBurst,
		"send never blocks":   testQueueFull,
		"slow policies":       testSlowPolicies,
		"send waits for room": testSendWait,
		"reader is held back": testBackPressure,
		"stops reading":       testSendTimeout,
		"shutdown":            testShutdown,
		"unopened":            testUnopened,
		"other transport":     testOtherTransport,
		"come and go":         testComeAndGo,
		"ends while it sends": testEndWhileSending,
	} {
		t.Run(name, func(t *testing.T) { test(t, start) })
	}
	runResume(t, of)
}

type starter func(t *testing.T, o transports.Options) *server

// expect reads until all of want has arrived.
func expect(t *testing.T, c client, want string) {
	t.Helper()
	var got strings.Builder
	for got.Len() < len(want) {
		text, err := c.receive()
		if err != nil {
			t.Fatalf("after %d of %d bytes: %v", got.Len(), len(want), err)
		}
		got.WriteString(text)
	}
	if got.String() != want {
		t.Fatalf("%d bytes came, not the %d that were sent, or not as they were", got.Len(), len(want))
	}
}

func testOrder(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	c, p := s.connect()
	var up, down strings.Builder
	var sending sync.WaitGroup
	for i := range 500 {
		fmt.Fprintf(&down, "%d,", i)
	}
	sending.Go(func() {
		for i := range 500 {
			if err := p.SendWait(context.Background(), frame.New(fmt.Appendf(nil, "%d,", i), false)); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 100 {
		text := fmt.Sprintf("%d,", i)
		up.WriteString(text)
		c.send(text)
	}
	expect(t, c, down.String())
	p.await(up.String())
	sending.Wait()
}

// Data posted before the transport opens is refused and discarded.
func testPostsBefore(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	url := s.negotiate()
	early := newPostClient(t, url)
	for _, body := range []string{"", "early"} {
		response, err := early.do(http.MethodPost, strings.NewReader(body), "")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusBadRequest || len(text) > 0 || err != nil || response.Header["Content-Type"] != nil {
			t.Errorf("%s %q %q, %v", response.Status, text, response.Header["Content-Type"], err)
		}
	}
	c := s.dial(url)
	c.send("in time")
	s.accept().await("in time")
}

func testLarge(t *testing.T, start starter) {
	s := start(t, transports.Options{MaxQueueBytes: 4 << 20})
	c, p := s.connect()
	large := strings.Repeat("0123456789", 100_000)
	c.send(large)
	p.await(large)
	if err := p.send(large); err != nil {
		t.Fatal(err)
	}
	expect(t, c, large)
}

func testClose(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	c, p := s.connect()
	for range 3 {
		if err := p.send("last words,"); err != nil {
			t.Fatal(err)
		}
	}
	cause := errors.New("enough")
	p.Close(cause)
	if err := p.send("too late"); !errors.Is(err, transports.ErrEnded) {
		t.Errorf("a send after the end: %v", err)
	}
	expect(t, c, "last words,last words,last words,")
	if _, err := c.receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
	if got := p.awaitGone(); !errors.Is(got, cause) {
		t.Errorf("the cause: %v", got)
	}
	s.awaitEmpty()
}

func testCloseAtOnce(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	c, p := s.connect()
	p.Close(errors.New("enough"))
	if _, err := c.receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
	s.awaitEmpty()
}

func testAbort(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	c, p := s.connect()
	cause := errors.New("out")
	p.Abort(cause)
	if text, err := c.receive(); err == nil {
		t.Errorf("after an abort comes %q", text)
	}
	if got := p.awaitGone(); !errors.Is(got, cause) {
		t.Errorf("the cause: %v", got)
	}
	s.awaitEmpty()
}

func testRefused(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	s.refuse = errRefused
	c := s.dial(s.negotiate())
	if text, err := c.receive(); err == nil {
		t.Errorf("a refused connection gets %q", text)
	}
	s.awaitEmpty()
}

func testLeave(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	c, p := s.connect()
	c.leave()
	if got := p.awaitGone(); got != nil {
		t.Errorf("the cause: %v", got)
	}
	if got := context.Cause(p.Context()); !errors.Is(got, transports.ErrClientGone) {
		t.Errorf("the context's cause: %v", got)
	}
	s.awaitEmpty()
}

func testDrop(t *testing.T, start starter) {
	s := start(t, transports.Options{DisconnectTimeout: time.Second})
	c, p := s.connect()
	c.drop()
	if _ = p.awaitGone(); context.Cause(p.Context()) == nil {
		t.Error("the end has no cause")
	}
	s.awaitEmpty()
}

// A burst waits for a client that does not read meanwhile, and comes whole.
func testBurst(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	c, p := s.connect()
	const count = 200
	text := strings.Repeat("x", 30_000)
	for range count {
		if err := p.send(text); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, c, strings.Repeat(text, count))
}

// A client that does not read takes memory up to the limit of its queue and blocks no sender.
func testQueueFull(t *testing.T, start starter) {
	s := start(t, transports.Options{MaxQueueBytes: 256 << 10})
	_, p := s.connect()
	chunk := frame.New(make([]byte, 64<<10), true)
	for range 10_000 {
		if err := p.Send(chunk); err != nil {
			if !errors.Is(err, transports.ErrQueueFull) {
				t.Errorf("a full queue: %v", err)
			}
			p.Abort(err)
			_ = p.awaitGone()
			return
		}
	}
	t.Error("640 MB were queued for a client that does not read")
}

func testSendWait(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	c, p := s.connect()
	chunk := strings.Repeat("x", 16<<10)
	const n = 400 // more than sockets buffer
	sent := make(chan error, 1)
	go func() { // ends with the loop; the test waits for its result
		for range n {
			if err := p.SendWait(context.Background(), frame.New([]byte(chunk), false)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	expect(t, c, strings.Repeat(chunk, n))
	if err := <-sent; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range n {
		if err := p.SendWait(ctx, frame.New([]byte(chunk), false)); errors.Is(err, context.Canceled) {
			return
		}
	}
	t.Error("a cancelled SendWait never fails")
}

// A client that stops reading is cut, and waiting senders return.
func testSendTimeout(t *testing.T, start starter) {
	s := start(t, transports.Options{SendTimeout: 50 * time.Millisecond})
	if s.kind == transports.LongPolling {
		t.Skip("a poll that is not read is a poll that does not come")
	}
	_, p := s.connect()
	chunk := frame.New(make([]byte, 64<<10), true)
	for range 10_000 {
		if err := p.SendWait(t.Context(), chunk); err != nil {
			if !errors.Is(err, transports.ErrEnded) || !errors.Is(p.awaitGone(), transports.ErrSendTimeout) {
				t.Errorf("%v, the cause: %v", err, context.Cause(p.Context()))
			}
			if got := s.registry.Refusals(); got != (transports.Refusals{SendTimeouts: 1}) {
				t.Errorf("counted %+v", got)
			}
			return
		}
	}
	t.Error("640 MB were sent to a client that does not read")
}

// While Receive runs, no more data is read. The remaining data arrives after it returns.
func testBackPressure(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	s.gate = make(chan struct{})
	c, p := s.connect()
	sent := make(chan struct{})
	go func() { // ends when the gate opens
		defer close(sent)
		c.send("held")
	}()
	p.await("held")
	close(s.gate)
	<-sent
	c.send(" and free")
	p.await("held and free")
}

func testShutdown(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	c, p := s.connect()
	if err := p.send("bye"); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { // awaited below
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ended <- s.registry.Shutdown(ctx)
	}()
	expect(t, c, "bye")
	if _, err := c.receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
	if got := p.awaitGone(); !errors.Is(got, transports.ErrShutdown) {
		t.Errorf("the cause: %v", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := s.registry.Create(&http.Request{}, true); err == nil {
		t.Error("a connection is made after the shutdown")
	}
}

// Many negotiations without a connection expire after the time-out.
func testUnopened(t *testing.T, start starter) {
	s := start(t, transports.Options{DisconnectTimeout: time.Millisecond})
	for range 10_000 {
		s.negotiate()
	}
	s.awaitEmpty()
}

func testOtherTransport(t *testing.T, start starter) {
	s := start(t, transports.Options{})
	for _, accept := range []string{"", "text/event-stream"} {
		c := newPostClient(t, s.negotiate())
		if s.kind == transports.LongPolling && accept == "" || s.kind == transports.ServerSentEvents && accept != "" {
			continue
		}
		response, err := c.do(http.MethodGet, nil, accept)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("a transport that is not allowed: %s", response.Status)
		}
	}
}

func testComeAndGo(t *testing.T, start starter) {
	n := 1000
	if testing.Short() {
		n = 50
	}
	s := start(t, transports.Options{})
	s.connectAndLeave(1) // starts the parts that exist once
	before := runtime.NumGoroutine()
	s.connectAndLeave(n)
	s.awaitEmpty()
	s.http.CloseClientConnections()
	deadline := time.Now().Add(patience)
	for runtime.NumGoroutine() > before+5 { // some HTTP connections are still closing
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // there is no event for a goroutine's end
	}
}

func (s *server) connectAndLeave(n int) {
	const atOnce = 20
	for range (n + atOnce - 1) / atOnce {
		var all sync.WaitGroup
		for range min(n, atOnce) {
			all.Go(func() {
				c := s.dial(s.negotiate())
				c.send("hello")
				c.leave()
				c.drop()
			})
		}
		all.Wait()
	}
}

// Concurrent ends from both sides leave nothing behind.
func testEndWhileSending(t *testing.T, start starter) {
	s := start(t, transports.Options{DisconnectTimeout: time.Second})
	var all sync.WaitGroup
	for i := range 50 {
		c, p := s.connect()
		all.Go(func() {
			for p.send("x") == nil {
				runtime.Gosched()
			}
		})
		all.Go(func() {
			switch i % 3 {
			case 0:
				c.drop()
			case 1:
				p.Abort(errors.New("out"))
			default:
				p.Close(errors.New("enough"))
				c.drop()
			}
			_ = p.awaitGone()
		})
	}
	all.Wait()
	s.awaitEmpty()
}
