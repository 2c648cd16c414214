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

// Connection is one logical duplex connection. It has a public id and a secret token, an
// outbound queue with a limit in bytes, and one cause of its end. All methods are safe for
// concurrent use.
type Connection struct {
	// The fields for sending come first and next to each other, because a broadcast to many
	// connections mostly waits for memory. mu guards them, and the fields after the four that
	// receiving guards.
	mu        sync.Mutex
	state     state
	writing   bool // the carrier was woken and has not found the queue empty since then
	corked    bool // sent frames wait in the queue for Uncork
	resumable bool // the connection outlives its requests
	carrier   Carrier
	memory    atomic.Pointer[atomic.Uint32] // the carrier's word for Prefetch, not guarded by a lock; nil: unknown
	queue     queue
	counted   int // the part of the queue's bytes that the registry's sum contains

	id, token string
	ticket    *auth.Ticket // the ticket that authenticated the negotiation; nil: none
	client    client
	registry  *Registry
	stateful  []Type // transports on which the connection may outlive its requests
	ctx       context.Context
	cancel    context.CancelCauseFunc

	// place is the position in the registry's loose, counted from 1; 0: not in it. The
	// registry's lock guards it.
	place int

	listens  bool          // set before its first request is served
	posts    atomic.Uint32 // number of POSTs
	observer Observer      // nil: none; mu guards it and silence
	silence  time.Duration
	// posting is held while the body of a POST is read.
	posting sync.Mutex
	// receiving is held during calls of the receiver, which are never concurrent. It guards
	// the next four fields.
	receiving   sync.Mutex
	receiver    Receiver
	heard       bool    // data has arrived over a WebSocket
	source      Carrier // only this carrier's data is received
	interrupted bool    // Interrupted was called, and Resumed not yet

	kind    Type // empty until a request has chosen a transport
	request *request
	// user is the user that requests must have. refresher receives fresher credentials.
	user      *auth.User
	refreshes *refreshes // nil: there was no refresh
	origin    string     // see Origin
	refresher Refresher
	opening   chan struct{} // closed when the receiver is set or the connection has ended; nil: no call waits
	told      bool          // Disconnected has returned
	finished  bool          // everything was sent, and nothing more will be
	leaving   bool          // the connection ends with the answer to the pending poll
	hangsUp   bool          // see HangUp
	// shutting: the server is shutting down.
	shutting   bool
	resumption int   // number of resumptions; see Resumption
	received   int64 // see Received
	body       body
	taker      Carrier   // the last carrier that took frames from the queue
	opened     time.Time // time of the opening
	// left is the end of the connection's last request. It is zero while a request is open.
	left time.Time
}

type state uint8

const (
	negotiated state = iota
	open
	closing // the application has closed it; queued frames are still sent
	disposing
	gone
)

// Carrier sends a connection's frames: a WebSocket, an event stream, or a poll.
type Carrier interface {
	// Wake is called when the queue is not empty or the connection is closing. The
	// connection's lock is held, so Wake must not block or call back. It is not called again
	// until Next has reported that the queue is empty.
	Wake()
	// Cut ends the carrier at once, because the connection has ended with cause. It is called
	// without the lock.
	Cut(cause error)
}

// DirectCarrier is a Carrier that can send without being woken.
type DirectCarrier interface {
	Carrier
	// TryWrite sends as many frames as it can without waiting. taken is the number of frames
	// that it has accepted. all reports that it has sent all of them completely; otherwise it
	// is woken for the rest. It is called like Wake.
	TryWrite(first *frame.Frame, more ...*frame.Frame) (taken int, all bool)
	// Memory returns a word on the cache line that TryWrite reads first. Loading the word
	// prefetches the line. The result is always the same.
	Memory() *atomic.Uint32
}

// OnceCarrier is a Carrier of one answer, such as a poll, that can send the answer without
// being woken.
type OnceCarrier interface {
	Carrier
	// TryAnswer answers with all frames without waiting, and reports whether it did. If so,
	// the carrier no longer belongs to the connection, as after Detach; otherwise it is woken
	// for the frames. It is called like Wake.
	TryAnswer(frames []*frame.Frame) bool
}

// ID returns the public id.
func (c *Connection) ID() string { return c.id }

// Transport returns the connection's transport, or "" before the first request.
func (c *Connection) Transport() Type {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kind
}

// Request returns the request that opened the transport: the WebSocket handshake, the event
// stream's GET, or the first poll. It is nil before. Each call makes a new request without a
// body. Its context has the values of the original request's context but does not end.
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

// RequestContext returns the context of Request.
func (c *Connection) RequestContext() context.Context {
	if p := c.packed(); p != nil {
		return p.ctx
	}
	return context.Background()
}

// Stateful reports whether client and endpoint have agreed in the negotiation that the
// connection may outlive its requests.
func (c *Connection) Stateful() bool { return slices.Contains(c.stateful, c.Transport()) }

// Resume sets whether the connection outlives its requests. A stateful one does by default;
// its receiver can find in its own handshake that the client does not support it.
func (c *Connection) Resume(agreed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumable = agreed && slices.Contains(c.stateful, c.kind)
}

// Posts returns the number of the connection's POSTs.
func (c *Connection) Posts() int { return int(c.posts.Load()) }

// Context returns a context that is cancelled, with the cause, when the connection ends or
// starts closing.
func (c *Connection) Context() context.Context { return c.ctx }

// Options returns the endpoint's options. They must not be changed.
func (c *Connection) Options() *Options { return &c.registry.options }

// Send queues f. It never blocks. It fails with ErrQueueFull if the client reads too slowly,
// and with ErrEnded if the connection accepts no more frames. If the queue is full, f's
// delivery may allow it to drop queued frames, or f. A connection that outlives its requests
// drops no frames.
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

// Prefetch makes the processor prefetch part of the memory that Send needs, and returns a
// word in the rest of it, or nil. Calling it for several connections before the first Send
// makes the processor fetch their memory concurrently.
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

// pass reports whether the carrier accepted f directly. That avoids accessing the queue's
// memory.
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

// flush sends the queue, directly if the carrier can.
func (c *Connection) flush() {
	if c.writing || !c.send() {
		c.wake()
	}
}

// send reports whether the carrier accepted the whole queue.
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

// Cork delays sending until Uncork, or until WaitBytes are queued. So the answers to messages
// that arrived together are sent together. A receiver that waits for anything must call
// Uncork first.
func (c *Connection) Cork() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = true
}

// Uncork must be called before more data is read. It first yields to the goroutines that
// handle the received messages, so that they can send the answers that need no waiting. Then
// it sends the delayed frames.
func (c *Connection) Uncork() {
	runtime.Gosched()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.corked = false; len(c.queue.frames) > 0 {
		c.flush()
		c.account()
	}
}

// SendWait waits until less than WaitBytes are queued, and then queues f. It fails with the
// cause of ctx, or with ErrEnded.
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

// HangUp ends the connection like Close, but without the closing handshake of a WebSocket:
// the queue is sent, then the network connection is reset.
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

// Close ends the connection in order: it accepts no more frames, the queue is sent, then the
// carrier ends.
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
	if stranded { // no client can return to receive the queue
		c.end(cause, false)
	}
}

// Abort ends the connection at once. It drops the queue and cuts the carrier.
func (c *Connection) Abort(cause error) { c.end(cause, true) }

// disconnect cancels the context and calls Disconnected. The receiver may be in a call now,
// perhaps in the call that led here, so a goroutine calls Disconnected. The registry waits
// for it.
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

// rescue, deferred, ends this connection, and no other one, after a panic of the application
// or runtime.Goexit. returned states that there was neither.
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

// end drops the queue and the carrier. A second call does nothing.
func (c *Connection) end(cause error, cut bool) { c.endIf(cause, cut, nil) }

// endIf ends the connection if condition, which is called under the lock, returns true.
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

// over reports whether the connection has ended.
func (c *Connection) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state >= disposing
}

// awaitEndOfStream waits, if everything was sent over an event stream, until the client has
// read that and the connection has ended, or until ctx ends. It reports whether the
// connection is forgotten then. Requests are answered 404 afterwards, as in ASP.NET Core. An
// earlier answer to a POST would make the .NET client discard the last messages.
func (c *Connection) awaitEndOfStream(ctx context.Context) (forgotten bool) {
	c.mu.Lock()
	if c.kind != ServerSentEvents || !c.finished || c.state != closing {
		c.mu.Unlock()
		return false
	}
	if c.opening == nil {
		c.opening = make(chan struct{})
	}
	ended := c.opening
	c.mu.Unlock()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.told
}

// release removes the connection when both its carrier and its application have finished.
// Until then its token remains known, and requests for it are answered 404 without a text, as
// in ASP.NET Core while a method still runs.
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

// Receive passes data that k has read to the application. It fails if the connection has
// ended, if k is not the carrier of the last Open, or if k has broken: half a message may
// have been discarded then, and its rest must not be taken for the beginning of another.
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

// receive requires that receiving is locked.
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
