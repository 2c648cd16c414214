package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

// tape is a carrier without a network: what the session sends is kept with its time.
type tape struct {
	mu    sync.Mutex
	sent  []string
	start time.Time
	feed  chan string // what arrives
	over  chan struct{}
	once  sync.Once
	stuck chan struct{} // if not nil: sending waits for it
	deaf  atomic.Bool   // sending fails
	// broken: Receive ends with an error.
	broken atomic.Bool
}

func newTape() *tape {
	return &tape{start: time.Now(), feed: make(chan string, 100), over: make(chan struct{})}
}

func (c *tape) Receive(feed func([]byte) error) error {
	for {
		select {
		case data := <-c.feed:
			if err := feed([]byte(data)); err != nil {
				return err
			}
		case <-c.over:
			if c.broken.Load() {
				return errors.New("cut")
			}
			return nil
		}
	}
}

func (c *tape) Send(_ context.Context, records []byte) error {
	if c.deaf.Load() {
		return errors.New("broken")
	}
	if c.stuck != nil {
		select {
		case <-c.stuck:
		case <-c.over:
			return errors.New("cut")
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range bytes.SplitSeq(bytes.TrimSuffix(records, []byte(record)), []byte(record)) {
		c.sent = append(c.sent, fmt.Sprintf("%v %s", time.Since(c.start), r))
	}
	return nil
}

func (c *tape) Close(context.Context) { c.Abort() }

func (c *tape) Abort() { c.once.Do(func() { close(c.over) }) }

func (c *tape) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

// onTape runs a test on a session that stands on a tape, in a bubble where time is fast. The test
// gets it connected.
func onTape(t *testing.T, o Options, transport Transport, test func(t *testing.T, c *HubConnection, tape *tape)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.Logger = slog.New(slog.DiscardHandler)
		c := New("http://tape", o)
		r := newRun(t.Context(), c)
		c.current, c.runs[r] = r, struct{}{}
		r.callbacks.Go(r.runCallbacks)
		tape := newTape()
		to := target{id: "id", hub: &url.URL{}}
		if o.StatefulReconnect {
			to.stateful = []Transport{transport}
		}
		s := r.newSession(tape, transport, to)
		tape.feed <- "{}" + record
		if err := s.handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.established(s)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.wait(r.ctx)
		}()
		test(t, c, tape)
		r.stop(ErrStopped)
		<-ended
		r.jobs.close()
		r.callbacks.Wait()
		r.uploads.end()
	})
}

// inUse is what was read ahead.
func inUse(c *HubConnection) int {
	b := c.current.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

const (
	tapeHandshake = `0s {"protocol":"json","version":1}`
	tapePing      = ` {"type":6}`
)

func TestPings(t *testing.T) {
	onTape(t, Options{ServerTimeout: -1}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		time.Sleep(20 * time.Second)
		if err := c.Send(t.Context(), "X"); err != nil {
			t.Error(err)
		}
		time.Sleep(26 * time.Second)
		want := []string{tapeHandshake, "0s" + tapePing, "15s" + tapePing, `20s {"type":1,"target":"X","arguments":[]}`, "35s" + tapePing}
		if got := tape.said(); !slices.Equal(got, want) {
			t.Errorf("sent %v, want %v", got, want)
		}
	})
}

// TestNothingIsSentBehindTheEndOfCtx: what its caller has given up already is not called.
func TestNothingIsSentBehindTheEndOfCtx(t *testing.T) {
	onTape(t, Options{}, LongPolling, func(t *testing.T, c *HubConnection, tape *tape) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		errs := []error{c.Send(ctx, "X"), c.Invoke(ctx, "X")}
		for _, err := range Stream[int](ctx, c, "X") {
			errs = append(errs, err)
		}
		synctest.Wait()
		for _, err := range errs {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		if got := tape.said(); len(got) != 1 || len(errs) != 3 {
			t.Errorf("sent %v, got %v", got, errs)
		}
	})
}

func TestNoPingsOnLongPolling(t *testing.T) {
	onTape(t, Options{}, LongPolling, func(t *testing.T, c *HubConnection, tape *tape) {
		time.Sleep(time.Hour)
		if got := tape.said(); len(got) != 1 || c.session.Load().ctx.Err() != nil {
			t.Errorf("sent %v", got)
		}
	})
}

func TestServerTimeout(t *testing.T) {
	onTape(t, Options{KeepAliveInterval: -1}, ServerSentEvents, func(t *testing.T, c *HubConnection, tape *tape) {
		s := c.session.Load()
		start := time.Now()
		time.Sleep(29 * time.Second)
		tape.feed <- `{"type":6}` + record
		<-s.ctx.Done()
		if elapsed := time.Since(start); elapsed != 59*time.Second || !errors.Is(context.Cause(s.ctx), ErrServerTimeout) {
			t.Errorf("ended after %v: %v", elapsed, context.Cause(s.ctx))
		}
		if got := tape.said(); len(got) != 2 {
			t.Errorf("sent %v", got)
		}
	})
}

// TestStuckWriter: a connection that takes nothing must not keep Stop waiting for ever.
func TestStuckWriter(t *testing.T) {
	onTape(t, Options{ServerTimeout: -1}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		synctest.Wait()
		tape.stuck = make(chan struct{})
		s, start := c.session.Load(), time.Now()
		full := strings.Repeat("x", maxOutbox)
		if err := c.Send(t.Context(), "Fits", full); err != nil {
			t.Error(err)
		}
		if err := c.Send(t.Context(), "Waits in line", full); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Send(ctx, "Does not fit", "x"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send into a full box: %v", err)
		}
		c.current.stop(ErrStopped)
		<-s.ctx.Done()
		if elapsed := time.Since(start); elapsed != 6*time.Second {
			t.Errorf("ended after %v", elapsed)
		}
	})
}

// TestSlowHandler: a handler that does not keep up pauses reading, and silence is not the server's
// fault then.
func TestSlowHandler(t *testing.T) {
	onTape(t, Options{}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		hold, handled := make(chan struct{}), 0
		c.On("Big", Action1(func(_ context.Context, _ string) error { <-hold; handled++; return nil }))
		message := fmt.Sprintf(`{"type":1,"target":"Big","arguments":[%q]}`, strings.Repeat("x", 100<<10)) + record
		for range 50 {
			tape.feed <- message
		}
		synctest.Wait()
		if used := inUse(c); used > readAhead || len(tape.feed) < 30 {
			t.Errorf("%d bytes read ahead, %d messages left", used, len(tape.feed))
		}
		time.Sleep(10 * time.Minute)
		close(hold)
		synctest.Wait()
		if handled != 50 || c.session.Load().ctx.Err() != nil {
			t.Errorf("%d messages were handled; %v", handled, context.Cause(c.session.Load().ctx))
		}
	})
}

// TestCallBehindFullQueue: a handler that waits for an answer lets reading go on.
func TestCallBehindFullQueue(t *testing.T) {
	onTape(t, Options{}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		answers := make(chan error, 50)
		c.On("Big", Action1(func(ctx context.Context, _ string) error {
			answers <- c.Invoke(ctx, "Ask")
			return nil
		}))
		message := fmt.Sprintf(`{"type":1,"target":"Big","arguments":[%q]}`, strings.Repeat("x", 100<<10)) + record
		for range 50 {
			tape.feed <- message
		}
		for i := range 50 {
			synctest.Wait() // the call is there
			tape.feed <- fmt.Sprintf(`{"type":3,"invocationId":"%d"}`, i+1) + record
			if err := <-answers; err != nil {
				t.Errorf("call %d: %v", i, err)
				break
			}
		}
	})
}

// TestStall: when the bound is reached and somebody waits for what cannot be read any more, the
// server's time-out decides.
func TestStall(t *testing.T) {
	onTape(t, Options{MaxBuffered: 2 * readAhead}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		c.On("Big", Action1(func(ctx context.Context, _ string) error { return c.Invoke(ctx, "Ask") }))
		message := fmt.Sprintf(`{"type":1,"target":"Big","arguments":[%q]}`, strings.Repeat("x", 100<<10)) + record
		for range 50 {
			tape.feed <- message
		}
		s := c.session.Load()
		<-s.ctx.Done()
		if used := inUse(c); used > 2*readAhead || !errors.Is(context.Cause(s.ctx), ErrServerTimeout) {
			t.Errorf("%d bytes buffered, ended by %v", used, context.Cause(s.ctx))
		}
	})
}

// TestStatefulStall: another carrier is no help there, since nobody reads that either.
func TestStatefulStall(t *testing.T) {
	onTape(t, Options{MaxBuffered: 2 * readAhead, StatefulReconnect: true}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		c.On("Big", Action1(func(ctx context.Context, _ string) error { return c.Invoke(ctx, "Ask") }))
		message := fmt.Sprintf(`{"type":1,"target":"Big","arguments":[%q]}`, strings.Repeat("x", 100<<10)) + record
		for range 50 {
			tape.feed <- message
		}
		s := c.session.Load()
		select {
		case <-s.ctx.Done():
			if !errors.Is(context.Cause(s.ctx), ErrServerTimeout) {
				t.Errorf("ended by %v", context.Cause(s.ctx))
			}
		case <-time.After(time.Hour):
			t.Error("the call waits for ever")
		}
	})
}

// TestPauseEndsWithItsSession: that the last session ended while its reader paused is no reason for
// patience with the next one.
func TestPauseEndsWithItsSession(t *testing.T) {
	onTape(t, Options{}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		hold := make(chan struct{})
		c.On("Big", Action1(func(context.Context, string) error { <-hold; return nil }))
		message := fmt.Sprintf(`{"type":1,"target":"Big","arguments":[%q]}`, strings.Repeat("x", 100<<10)) + record
		for range 50 {
			tape.feed <- message
		}
		synctest.Wait()
		c.session.Load().end(errors.New("broken"))
		close(hold)
		synctest.Wait()
		next := newTape()
		s := c.current.newSession(next, WebSockets, target{id: "next", hub: &url.URL{}})
		next.feed <- "{}" + record
		if err := s.handshake(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.activate()
		select {
		case <-s.ctx.Done():
		case <-time.After(time.Hour):
			t.Error("an hour of silence was no reason to end")
		}
		s.abort(ErrStopped)
	})
}

// TestReasonBehindBrokenSocket: that nothing can be written any more may be found out before all that the
// server sent is read. Its reason is among that.
func TestReasonBehindBrokenSocket(t *testing.T) {
	onTape(t, Options{}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		hold, handled := make(chan struct{}), 0
		c.On("Big", Action1(func(context.Context, string) error { <-hold; handled++; return nil }))
		message := fmt.Sprintf(`{"type":1,"target":"Big","arguments":[%q]}`, strings.Repeat("x", 100<<10)) + record
		for range 50 {
			tape.feed <- message
		}
		tape.feed <- `{"type":7,"error":"the reason"}` + record
		synctest.Wait()
		tape.deaf.Store(true)
		if err := c.Send(t.Context(), "X"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		close(hold)
		s := c.session.Load()
		<-s.ctx.Done()
		synctest.Wait()
		if closed := new(CloseError); !errors.As(context.Cause(s.ctx), &closed) || handled != 50 {
			t.Errorf("ended with %v behind %d messages", context.Cause(s.ctx), handled)
		}
	})
}

// TestBreakFreesItems: items that nobody takes any more give their room back.
func TestBreakFreesItems(t *testing.T) {
	onTape(t, Options{}, WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		for i := range 3 {
			go func() {
				synctest.Wait() // the stream is known
				for range 5 {
					tape.feed <- fmt.Sprintf(`{"type":2,"invocationId":"%d","item":%q}`, i+1, strings.Repeat("x", 300<<10)) + record
				}
			}()
			for item, err := range Stream[string](t.Context(), c, "Stream") {
				if len(item) != 300<<10 || err != nil {
					t.Errorf("%d, %v", len(item), err)
				}
				break
			}
			synctest.Wait()
			if used := inUse(c); used != 0 || len(tape.feed) != 0 {
				t.Errorf("%d bytes in use, %d messages unread", used, len(tape.feed))
			}
		}
	})
}

func TestReconnectPolicies(t *testing.T) {
	var waits []time.Duration
	for i := 0; ; i++ {
		wait, again := DefaultReconnect()(Retry{Attempts: i})
		if !again {
			break
		}
		waits = append(waits, wait)
	}
	if want := []time.Duration{0, 2 * time.Second, 10 * time.Second, 30 * time.Second}; !slices.Equal(waits, want) {
		t.Errorf("waits %v, want %v", waits, want)
	}
	forever := ReconnectForever(0, 0)
	for attempts, most := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 4: 16 * time.Second, 5: 30 * time.Second, 1 << 30: 30 * time.Second} {
		for range 100 {
			if wait, again := forever(Retry{Attempts: attempts}); !again || wait < most/2 || wait > most {
				t.Fatalf("attempt %d: %v, %v", attempts, wait, again)
			}
		}
	}
}

func TestMemoryFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		all := []Transport{WebSockets, ServerSentEvents, LongPolling}
		expect := func(first Transport) {
			t.Helper()
			if got := m.arrange("a", all); got[0] != first || len(got) != 3 {
				t.Errorf("order %v, want %s first", got, first)
			}
		}
		expect(WebSockets)
		m.record("a", []Transport{WebSockets}, ServerSentEvents)
		expect(ServerSentEvents)
		if m.arrange("b", all)[0] != WebSockets {
			t.Error("one origin speaks for another")
		}
		time.Sleep(firstDoubt)
		expect(WebSockets)
		m.record("a", []Transport{WebSockets}, ServerSentEvents)
		time.Sleep(firstDoubt)
		expect(ServerSentEvents) // confirmed: twice as long
		time.Sleep(firstDoubt)
		expect(WebSockets)
		m.record("a", nil, WebSockets)
		m.record("a", []Transport{WebSockets, ServerSentEvents}, LongPolling)
		expect(LongPolling)
		m.record("a", nil, ServerSentEvents)
		expect(ServerSentEvents)
		for i := range 3 * maxOrigins {
			m.record(fmt.Sprint(i), []Transport{WebSockets}, LongPolling)
		}
		if len(m.origins) > maxOrigins {
			t.Errorf("%d origins", len(m.origins))
		}
	})
}

func TestPanickingHandlersAndResults(t *testing.T) {
	p := protocol.NewJSON(protocol.JSONOptions{})
	onTape(t, Options{Protocol: p, ServerTimeout: -1, KeepAliveInterval: -1}, LongPolling, func(t *testing.T, c *HubConnection, tape *tape) {
		c.On("Fails", Func0(func(context.Context) (int, error) { return 0, errors.New("words") }))
		c.On("Panics", Func0(func(context.Context) (int, error) { panic("x") }))
		c.On("Unwritable", Func0(func(context.Context) (any, error) { return make(chan int), nil }))
		c.On("Six", Func6(func(_ context.Context, a, b, c, d, e int, f string) (string, error) {
			return fmt.Sprint(a, b, c, d, e, f), nil
		}))
		for i, name := range []string{"Fails", "panics", "UNWRITABLE"} {
			tape.feed <- fmt.Sprintf(`{"type":1,"invocationId":"%d","target":%q,"arguments":[]}`, i, name) + record
		}
		tape.feed <- `{"type":1,"invocationId":"3","target":"Six","arguments":[1,2,3,4,5,"six"]}` + record
		synctest.Wait()
		want := []string{
			tapeHandshake,
			`0s {"type":3,"invocationId":"0","error":"words"}`,
			`0s {"type":3,"invocationId":"1","error":"` + handlerFailed + `"}`,
			`0s {"type":3,"invocationId":"2","error":"` + badResult + `"}`,
			`0s {"type":3,"invocationId":"3","result":"1 2 3 4 5six"}`,
		}
		if got := tape.said(); !slices.Equal(got, want) {
			t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		defer func() {
			if recover() == nil {
				t.Error("a second handler with a result was taken")
			}
		}()
		c.On("FAILS", Func0(func(context.Context) (int, error) { return 1, nil }))
	})
}
