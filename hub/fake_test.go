package hub_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var errFull = errors.New("queue full")

// fakeConnection keeps frames in a channel; its capacity is the queue's.
type fakeConnection struct {
	id     string
	client string // the client's address
	queue  chan *frame.Frame
	ctx    context.Context
	cancel context.CancelCauseFunc
	// received is what Received returns.
	received atomic.Int64

	mu      sync.Mutex
	closed  chan struct{} // closed by Close and Abort
	cause   error
	aborted bool
	hungUp  bool

	held atomic.Int64 // by Hold
	hits atomic.Int64 // checks by Hold(0) that found no room, which a real connection counts as refusals
	full atomic.Bool  // for Hold
	room atomic.Int64 // for Room
}

func newFakeConnection(id string, capacity int) *fakeConnection {
	c := &fakeConnection{id: id, queue: make(chan *frame.Frame, capacity), closed: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.room.Store(2 << 20)
	return c
}

func (c *fakeConnection) ID() string               { return c.id }
func (c *fakeConnection) Address() string          { return c.client }
func (c *fakeConnection) SentBytes() int64         { return 0 }
func (c *fakeConnection) Context() context.Context { return c.ctx }

func (c *fakeConnection) Send(f *frame.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over() {
		return c.cause
	}
	select {
	case c.queue <- f:
		return nil
	default:
		return errFull
	}
}

func (c *fakeConnection) SendWait(ctx context.Context, f *frame.Frame) error {
	select {
	case <-c.closed:
		return c.cause
	default:
	}
	select {
	case c.queue <- f:
		return nil
	case <-c.closed:
		return c.cause
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *fakeConnection) over() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *fakeConnection) Close(cause error) { c.end(cause, false) }

// Hold implements hub.Holder.
func (c *fakeConnection) Hold(n int) bool {
	c.held.Add(int64(n))
	full := c.full.Load()
	if full && n == 0 {
		c.hits.Add(1)
	}
	return full
}

// Room implements hub.Holder.
func (c *fakeConnection) Room() int { return int(c.room.Load()) }

func (c *fakeConnection) Abort(cause error) { c.end(cause, true) }

func (c *fakeConnection) HangUp(cause error) {
	c.hungUp = true // before closed is
	c.end(cause, false)
}

func (c *fakeConnection) end(cause error, abort bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over() {
		return
	}
	c.cause, c.aborted = cause, abort
	close(c.closed)
}

// client is the other end: what it sends is read by a goroutine of its own, as a
// carrier's would.
type client struct {
	t        testing.TB
	conn     *fakeConnection
	session  *hub.Session
	in       chan []byte
	gone     chan error    // the client's end
	finished chan struct{} // Disconnected has returned
	records  []string      // read from the queue, not looked at
	hangUp   sync.Once
}

type clientOptions struct {
	id       string
	capacity int
	user     string
	address  string
	info     hub.ConnectInfo
}

// dial connects a client without a handshake.
func dial(t testing.TB, h *hub.Hub, o clientOptions) *client {
	t.Helper()
	if o.id == "" {
		o.id = "id"
	}
	if o.capacity == 0 {
		o.capacity = 1000
	}
	if o.info.Transport == "" {
		o.info.Transport, o.info.Binary = "WebSockets", true
	}
	if o.user != "" {
		o.info.User = &auth.User{ID: o.user}
	}
	c := &client{
		t: t, conn: newFakeConnection(o.id, o.capacity),
		in: make(chan []byte), gone: make(chan error, 1), finished: make(chan struct{}),
	}
	c.conn.client = o.address
	h = twoHubs.place(h)
	c.session = h.Connect(c.conn, o.info)
	go c.read()
	t.Cleanup(c.close)
	return c
}

// read is the carrier's reader.
func (c *client) read() {
	defer close(c.finished)
	cause := c.readUntilEnd()
	c.conn.end(cause, true)
	c.conn.cancel(cause)
	c.session.Disconnected(cause)
}

func (c *client) readUntilEnd() error {
	for {
		select {
		case data := <-c.in:
			if err := c.session.Receive(data); err != nil {
				return c.ended(err)
			}
		case cause := <-c.gone:
			return cause
		case <-c.conn.closed:
			return c.conn.cause
		}
	}
}

// ended tells why the session takes nothing any more: the client may have left while it
// was being read.
func (c *client) ended(err error) error {
	select {
	case cause := <-c.gone:
		return cause
	case <-c.conn.closed:
		return c.conn.cause
	default:
		return err
	}
}

// close hangs up and waits for the session's end.
func (c *client) close() { c.leave(nil) }

func (c *client) leave(cause error) {
	c.hangUp.Do(func() {
		c.gone <- cause
		c.conn.cancel(cause) // a reader that is blocked in the session sees that
	})
	<-c.finished
	if n := c.conn.held.Load(); n != 0 {
		c.t.Errorf("%d bytes are held for a connection that is gone", n)
	}
}

// connect connects a client and shakes hands.
func connect(t testing.TB, h *hub.Hub, o clientOptions) *client {
	t.Helper()
	c := dial(t, h, o)
	c.send(`{"protocol":"json","version":1}`)
	c.want(`{}`)
	if twoHubs.on { // the client is a member of its audiences when it is answered
		c.send(call("joined", "Void", ""))
		for r := c.next(); r != result("joined", "null"); r = c.next() {
			if r == "" {
				t.Fatal("the connection ended before it was answered")
			}
		}
	}
	return c
}

// send sends records in one piece.
func (c *client) send(records ...string) {
	c.t.Helper()
	c.sendRaw(strings.Join(records, "\x1e") + "\x1e")
}

func (c *client) sendRaw(data string) {
	c.t.Helper()
	select {
	case c.in <- []byte(data):
	case <-c.finished:
		c.t.Fatalf("cannot send %q: the session has ended", data)
	}
}

// next returns the next record; "" if the connection was closed and nothing is left.
func (c *client) next() string {
	c.t.Helper()
	for len(c.records) == 0 {
		select {
		case f := <-c.conn.queue:
			c.unpack(f)
		case <-c.conn.closed:
			select {
			case f := <-c.conn.queue:
				c.unpack(f)
			default:
				return ""
			}
		case <-time.After(20 * time.Second):
			c.t.Fatal("nothing came")
		}
	}
	r := c.records[0]
	c.records = c.records[1:]
	return r
}

func (c *client) unpack(f *frame.Frame) {
	c.records = append(c.records, strings.Split(strings.TrimSuffix(string(f.Payload()), "\x1e"), "\x1e")...)
}

// want checks the next records.
func (c *client) want(records ...string) {
	c.t.Helper()
	for _, want := range records {
		if got := c.next(); got != want {
			c.t.Fatalf("got  %s\nwant %s", got, want)
		}
	}
}

// wantInAnyOrder checks the next records of calls that run at once.
func (c *client) wantInAnyOrder(records ...string) {
	c.t.Helper()
	got := make([]string, len(records))
	for i := range got {
		got[i] = c.next()
	}
	slices.Sort(got)
	slices.Sort(records)
	if !slices.Equal(got, records) {
		c.t.Fatalf("got  %s\nwant %s", got, records)
	}
}

// wantEnd checks that the connection was closed and nothing more came.
func (c *client) wantEnd() {
	c.t.Helper()
	if got := c.next(); got != "" {
		c.t.Fatalf("got %s, want the end", got)
	}
}

// quiet checks that nothing came so far. It is for bubbles of synctest, after Wait.
func (c *client) quiet() {
	c.t.Helper()
	if len(c.records) > 0 {
		c.t.Fatalf("got %s, want nothing", c.records[0])
	}
	select {
	case f := <-c.conn.queue:
		c.t.Fatalf("got %s, want nothing", f.Payload())
	default:
	}
}
