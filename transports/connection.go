package transports

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
)

// Connection is one logical duplex connection. It has a public id and a secret
// token, an outbound queue bounded in bytes, and one reason for its end. All
// methods are safe for concurrent use.
type Connection struct {
	// What sending needs comes first, side by side: a broadcast to many waits for memory
	// above all. It is guarded by mu, as is what follows receiving's four.
	mu        sync.Mutex
	state     state
	writing   bool // the carrier was woken and has not found the queue empty since
	corked    bool // what is sent waits for Uncork
	resumable bool // it outlives its requests
	carrier   Carrier
	memory    atomic.Pointer[atomic.Uint32] // of the carrier, for Prefetch, which no lock guards; nil: unknown
	queue     queue
	counted   int // of the queue's bytes, in the registry's sum

	id, token string
	ticket    *auth.Ticket // by which the user negotiated; nil: by none
	client    client
	registry  *Registry
	stateful  []Type // the transports on which it may outlive its requests
	ctx       context.Context
	cancel    context.CancelCauseFunc

	// place among the registry's loose connections, from 1; 0: not there. Its lock guards it.
	place int

	listens  bool          // set before its first request is served
	posts    atomic.Uint32 // how many POSTs have come
	observer Observer      // nil: none. Guarded by mu, as the next
	silence  time.Duration
	// posting is held by the POST whose body is being read.
	posting sync.Mutex
	// receiving is held while the receiver is called: calls come one at a time. It
	// guards the next four.
	receiving   sync.Mutex
	receiver    Receiver
	heard       bool    // something came over a WebSocket
	source      Carrier // the one whose data counts; an older one's does not
	interrupted bool    // the receiver was told, and not yet that it goes on

	kind    Type // empty until the first request chose a transport
	request *request
	// user is whose requests are taken; refresher is told of fresher credentials.
	user      *auth.User
	refreshes *refreshes // nil: none was made
	origin    string     // see Origin
	refresher Refresher
	opening   chan struct{} // closed when the receiver is there, or the connection over; nil: nobody waits
	told      bool          // the application knows of the end
	finished  bool          // all was sent, and nothing more will be
	leaving   bool          // it is over with the answer to the poll that waits
	hangsUp   bool          // see HangUp
	// shutting: the server shuts down.
	shutting   bool
	resumption int   // how often the client came back; see Resumption
	received   int64 // see Received
	body       body
	taker      Carrier   // the last one that took frames from the queue
	opened     time.Time // when the transport was chosen
	// left is when the last request of the connection ended; zero while one is there.
	left time.Time
}

type state uint8

const (
	negotiated state = iota
	open
	closing // the application ended it; what is queued still goes out
	disposing
	gone
)

// Carrier is what a transport puts in place to send: a WebSocket, an event stream,
// a poll.
type Carrier interface {
	// Wake: there is something in the queue, or the connection is closing. It is
	// called with the connection's lock held, must not block or call back, and is
	// not called again before Next has told that the queue is empty.
	Wake()
	// Cut ends the carrier at once: the connection is gone, for that cause. Called
	// without the lock.
	Cut(cause error)
}

// DirectCarrier is a Carrier that can send without being woken.
type DirectCarrier interface {
	Carrier
	// TryWrite sends what it can without waiting. It tells how many frames it has taken,
	// and whether it is done with all of them: else it is woken for the rest. It is
	// called as Wake is.
	TryWrite(first *frame.Frame, more ...*frame.Frame) (taken int, all bool)
	// Memory lies among what TryWrite needs: to load it has the processor fetch that. It is
	// always the same.
	Memory() *atomic.Uint32
}

// OnceCarrier is a Carrier of one answer, such as a poll, which can send that without being
// woken.
type OnceCarrier interface {
	Carrier
	// TryAnswer answers with all frames, without waiting. It tells whether it did: then the
	// carrier is the connection's no more, as after Detach. Else it is woken for them. It
	// is called as Wake is.
	TryAnswer(frames []*frame.Frame) bool
}

// ID is the public id.
func (c *Connection) ID() string { return c.id }

// Transport is the connection's transport.
func (c *Connection) Transport() Type {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kind
}

// Request is the one that opened the transport: the WebSocket handshake, the event
// stream's GET, the first poll; nil before. Each call makes it anew, without its body, and
// its context has the values of the original's, but does not end.
func (c *Connection) Request() *http.Request {
	if p := c.packed(); p != nil {
		return p.unpack()
	}
	return nil
}

func (c *Connection) packed() *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.request
}

// RequestContext is the context of Request.
func (c *Connection) RequestContext() context.Context {
	if p := c.packed(); p != nil {
		return p.ctx
	}
	return context.Background()
}

// Stateful tells whether client and endpoint agree that the connection may outlive
// its requests.
func (c *Connection) Stateful() bool { return slices.Contains(c.stateful, c.Transport()) }

// Resume tells whether the connection outlives its requests. A stateful one does,
// until the receiver finds in its own handshake that the client does not want it.
func (c *Connection) Resume(agreed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumable = agreed && slices.Contains(c.stateful, c.kind)
}

// Posts is how many POSTs have come for the connection.
func (c *Connection) Posts() int { return int(c.posts.Load()) }

// Context is cancelled, with the cause, when the connection has ended or is closing.
func (c *Connection) Context() context.Context { return c.ctx }

// Options are the endpoint's.
func (c *Connection) Options() *Options { return &c.registry.options }

// Send queues f. It never blocks: ErrQueueFull when the client reads too slowly,
// ErrEnded when the connection takes nothing any more. What waits in the queue may make
// room, or f be left out, as f's delivery says; but on a connection that outlives its
// requests every frame counts.
func (c *Connection) Send(f *frame.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return ErrEnded
	}
	if len(c.queue.frames) > 0 {
		if done, err := c.queue.settle(f, c.roomForLocked(f.Len()), c.resumable); done {
			c.account()
			return err
		}
	}
	c.push(f)
	return nil
}

// Prefetch has the processor fetch what Send needs, and returns where the rest of that is, or
// nil. Called for several connections before anything is sent to the first, it fetches
// their memory at the same time.
func (c *Connection) Prefetch() *atomic.Uint32 { return c.memory.Load() }

func (c *Connection) push(f *frame.Frame) {
	if c.pass(f) {
		return
	}
	c.queue.push(f)
	if !c.corked || c.queue.bytes >= c.registry.options.WaitBytes {
		c.flush()
	}
	c.account()
}

// pass tells whether the carrier took f past the queue, which is more memory to wait for.
func (c *Connection) pass(f *frame.Frame) bool {
	if c.writing || c.corked || len(c.queue.frames) > 0 {
		return false
	}
	k, ok := c.carrier.(DirectCarrier)
	if !ok {
		return false
	}
	taken, all := k.TryWrite(f)
	if taken > 0 && !all {
		c.wake()
	}
	return taken > 0
}

// flush sends what is queued, at once if the carrier can.
func (c *Connection) flush() {
	if c.writing || !c.send() {
		c.wake()
	}
}

// send tells whether the carrier took all that is queued.
func (c *Connection) send() (all bool) {
	taken := 0
	switch k := c.carrier.(type) {
	case DirectCarrier:
		taken, all = k.TryWrite(c.queue.frames[0], c.queue.frames[1:]...)
	case OnceCarrier:
		if c.leaving || !k.TryAnswer(c.queue.frames) {
			return false
		}
		taken, all = len(c.queue.frames), true
		c.taker, c.carrier, c.left = k, nil, time.Now()
	}
	c.queue.discard(taken, c.registry.options.WaitBytes)
	return all
}

func (c *Connection) wake() {
	if c.carrier != nil && !c.writing {
		c.writing = true
		c.carrier.Wake()
	}
}

// Cork keeps back what is sent until Uncork, up to WaitBytes, so that the answers to
// what came together go out together. A receiver that waits for anything uncorks first.
func (c *Connection) Cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = true
}

// Uncork is called before more is read. First it lets what came in be answered, as far as
// nothing has to be waited for: the client may then have sent more already, so that nobody
// waits for that either. Then it sends what Cork kept back, if anything.
func (c *Connection) Uncork() {
	runtime.Gosched()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.corked = false; len(c.queue.frames) > 0 {
		c.flush()
		c.account()
	}
}

// SendWait queues f when there is room: less than WaitBytes is queued. It fails with
// the cause of ctx, or with ErrEnded.
func (c *Connection) SendWait(ctx context.Context, f *frame.Frame) error {
	for {
		c.mu.Lock()
		if c.state != open {
			c.mu.Unlock()
			return ErrEnded
		}
		if c.queue.bytes < c.registry.options.WaitBytes {
			c.push(f)
			c.mu.Unlock()
			return nil
		}
		room := c.queue.room()
		c.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ctx.Done():
			return ErrEnded
		}
	}
}

// HangUp ends the connection as Close does, but without the closing handshake of a WebSocket:
// what is queued goes out, then the network connection is reset.
func (c *Connection) HangUp(cause error) {
	c.mu.Lock()
	c.hangsUp = true
	c.mu.Unlock()
	c.Close(cause)
}

// HangsUp reports whether HangUp was called.
func (c *Connection) HangsUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hangsUp
}

// Close ends the connection in order: nothing more is accepted, what is queued goes
// out, then the carrier ends.
func (c *Connection) Close(cause error) {
	c.mu.Lock()
	if c.state != open && c.state != negotiated {
		c.mu.Unlock()
		return
	}
	c.state = closing
	c.letPosts()
	c.wake()
	stranded := c.carrier == nil && c.resumable && c.kind != LongPolling && !c.left.IsZero()
	c.mu.Unlock()
	c.disconnect(cause)
	if stranded { // nobody can come for what is queued
		c.end(cause, false)
	}
}

// Abort ends the connection at once: the queue is dropped, the carrier cut.
func (c *Connection) Abort(cause error) { c.end(cause, true) }

// disconnect tells everybody who waits, and the application, that it is over. The
// receiver may be in a call at this moment, perhaps the one that led here, so it is
// told by a goroutine, which the registry waits for.
func (c *Connection) disconnect(cause error) {
	c.cancel(cause)
	c.hurry()
	c.registry.running.Go(func() {
		defer c.release()
		defer c.setTold()
		c.tell()
	})
}

func (c *Connection) setTold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = true
}

func (c *Connection) tell() {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if r := c.receiver; r != nil {
		c.receiver = nil
		returned := false
		defer c.rescue(&returned, nil)
		cause := context.Cause(c.ctx)
		if errors.Is(cause, ErrClientGone) {
			cause = nil
		}
		r.Disconnected(cause)
		returned = true
	}
}

// rescue, deferred, ends the connection, and only this one, for a panic in the application
// or an end of its goroutine (runtime.Goexit). returned says that there was neither.
func (c *Connection) rescue(returned *bool, err *error) {
	if *returned {
		return
	}
	p := recover()
	c.logPanic(p)
	c.end(ErrApplication, true)
	if err != nil {
		*err = ErrApplication
	}
}

func (c *Connection) logPanic(p any) {
	c.registry.options.Logger.Error("the application panicked", "connection", c.LogName(), "panic", p, "stack", string(debug.Stack()))
}

// end drops the queue and the carrier. It does nothing the second time.
func (c *Connection) end(cause error, cut bool) { c.endIf(cause, cut, nil) }

// endIf ends the connection if a condition holds, which is asked under its lock.
func (c *Connection) endIf(cause error, cut bool, condition func() bool) {
	c.mu.Lock()
	if c.state >= disposing || condition != nil && !condition() {
		c.mu.Unlock()
		return
	}
	closed := c.state == closing
	c.state = disposing
	carrier := c.carrier
	c.carrier = nil
	c.left = time.Time{}
	c.queue.drop()
	c.account()
	c.letPosts()
	unclaimed := c.kind == "" && errors.Is(cause, ErrTimeout)
	c.mu.Unlock()
	if c.ticket != nil && c.Posts() == 0 {
		c.ticket.Release(c.id)
	}
	if errors.Is(cause, ErrSendTimeout) {
		_ = c.registry.refuse(&c.registry.refused.sendTimeouts, "time to read what is sent", nil)
	}
	if unclaimed {
		c.Tell(Event{Kind: Unclaimed})
	}
	if !closed {
		c.disconnect(cause)
	}
	if cut && carrier != nil {
		carrier.Cut(cause)
	}
	c.release()
}

// over tells whether nothing of the connection can be fetched or sent any more.
func (c *Connection) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state >= disposing
}

// release forgets the connection when both its carrier and its application are done
// with it. Until then its token is known: what is asked of it is answered 404
// without a text, as the original does while a method still runs.
func (c *Connection) release() {
	c.mu.Lock()
	done := c.state == disposing && c.told
	if done {
		c.state = gone
		c.registry.forgo(c.request)
	}
	kind, opened := c.kind, c.opened
	c.mu.Unlock()
	if !done {
		return
	}
	defer c.registry.remove(c)
	if kind != "" {
		c.Tell(Event{Kind: Ended})
		defer c.registry.contain("Meter")
		c.registry.options.Meter.Ended(kind, time.Since(opened), context.Cause(c.ctx))
	}
}

// Receive hands what k read to the application. It fails when the connection has
// ended, when k is not the carrier that Open was called for last, or when k broke: half of
// a message may be forgotten by then, and nothing must be taken for the begin of another.
func (c *Connection) Receive(k Carrier, data []byte) error {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if c.source != k || c.interrupted {
		return ErrEnded
	}
	if !c.heard {
		c.heard = true
		if c.ticket != nil {
			c.ticket.Use(c.id)
		}
		c.Tell(Event{Kind: Proved})
	}
	return c.receive(data)
}

// receive needs the lock receiving.
func (c *Connection) receive(data []byte) (err error) {
	if c.receiver == nil {
		return ErrEnded
	}
	returned := false
	defer c.rescue(&returned, &err)
	err = c.receiver.Receive(data)
	returned = true
	if err != nil {
		c.Close(err)
	}
	return err
}
