package connection

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// The reasons for which Claim and Attach refuse a request.
var (
	ErrActive         = errors.New("transports: the connection has an open request already")
	ErrOtherTransport = errors.New("transports: the connection uses another transport")

	errTicket = errors.New("transports: another connection is open with the ticket")
)

// Claim reserves the connection for a request of a transport. first reports that this request
// opens the connection, or is the poll that resumes it. Claim fails with ErrActive,
// ErrOtherTransport or ErrEnded. A newer WebSocket or event stream of a stateful connection
// cuts the older one; a newer poll replaces the older one in Attach.
func (c *Connection) Claim(kind transports.Type, r *http.Request) (first bool, err error) {
	number := Resumption(r)
	older, first, resumes, err := c.claim(kind, r, number)
	if err != nil {
		return false, err
	}
	returned := false
	defer func() {
		if !returned { // an observer or the application called runtime.Goexit
			c.Lost(transports.ErrApplication)
		}
	}()
	if kind != transports.LongPolling { // long polling is always in loose
		c.registry.settle(c)
	}
	if first {
		if c.registry.logsDebug() {
			c.logOpened(kind)
		}
		c.Tell(transports.Event{Kind: transports.Opened, Request: r})
	}
	if older != nil {
		older.Cut(transports.ErrCut)
		c.interrupt(older)
	}
	if resumes && kind != transports.WebSockets {
		first, err = kind == transports.LongPolling, c.restart(number)
	}
	returned = true
	return first, err
}

// claim reserves the connection and returns the carrier that r replaces.
func (c *Connection) claim(kind transports.Type, r *http.Request, number int) (older Carrier, first, resumes bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock() // also if the Meter panics
	if resumes, err = c.admit(kind, number); err != nil {
		return nil, false, false, err
	}
	if first = c.kind == ""; first {
		if err = c.begin(kind, r, number); err != nil {
			return nil, false, false, err
		}
	}
	if kind != transports.LongPolling || resumes {
		older = c.carrier
	}
	if resumes {
		c.received = received(r)
	}
	if older != nil {
		c.carrier, c.writing = nil, false
	}
	c.left = time.Time{}
	return older, first, resumes, nil
}

// admit reports whether a request may have the connection, and whether it replaces the
// requests of a carrier that broke or is still open. The lock is held.
func (c *Connection) admit(kind transports.Type, number int) (resumes bool, err error) {
	switch {
	case c.kind != "" && c.kind != kind:
		return false, ErrOtherTransport
	case c.state >= disposing || c.kind == "" && c.state == closing:
		return false, transports.ErrEnded
	case c.kind == "", kind == transports.LongPolling && (!c.resumable || number == c.resumption):
		return false, nil
	default:
		return true, c.takeOver(number)
	}
}

// begin makes r the request that opens the connection. It fails if another connection is open
// with the same ticket, or if there is no room for the request's head. The lock is held.
func (c *Connection) begin(kind transports.Type, r *http.Request, number int) error {
	if c.ticket != nil && !c.ticket.Take(c.id) {
		return errTicket
	}
	p, err := c.registry.keep(r)
	if err != nil {
		return err
	}
	c.kind, c.request, c.state, c.opened = kind, p, open, time.Now()
	c.resumption = number
	c.registry.options.Meter.Opened(kind)
	c.resumable = slices.Contains(c.stateful, kind)
	return nil
}

// Open passes the connection to the application: by Connect the first time, by Resumed after
// a break. From then on k is its carrier, and only k's data is received. k is nil for a first
// poll, which carries nothing. Open cuts an older carrier that was attached in the meantime.
// It fails as Attach does. resumption is that of the request.
func (c *Connection) Open(k Carrier, resumption int) error {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if !c.isCurrent(resumption) {
		return ErrActive
	}
	c.source = k
	switch {
	case c.ctx.Err() != nil:
	case c.receiver == nil:
		c.connect()
	case c.kind == transports.WebSockets: // otherwise Claim has done it
		c.resume()
	}
	if k == nil {
		return nil
	}
	older, err := c.attach(k, resumption)
	if older != nil {
		older.Cut(transports.ErrCut)
	}
	return err
}

// connect requires that receiving is locked, so that the end of the connection waits for it.
func (c *Connection) connect() {
	returned := false
	defer c.rescue(&returned, nil)
	receiver, err := c.registry.app.Connect(c)
	returned = true
	if err != nil {
		c.end(err, true)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refresher, _ = receiver.(transports.Refresher); c.refresher != nil {
		c.refresher.Refresh(c.user) // a refresh may have happened during Connect
	}
	c.receiver = receiver
	c.letPosts()
}

// resume continues with another WebSocket. If that opened before the end of the older one was
// noticed, resume calls Interrupted first: no frame that the receiver sends in the meantime
// may be in the queue that is dropped here.
func (c *Connection) resume() {
	r, ok := c.receiver.(transports.Resumer)
	if !ok {
		c.end(transports.ErrCut, true)
		return
	}
	returned := false
	defer c.rescue(&returned, nil)
	if !c.interrupted {
		r.Interrupted()
	}
	c.interrupted = false
	c.mu.Lock()
	c.queue.drop()
	c.account()
	c.mu.Unlock()
	r.Resumed()
	returned = true
}

// Attach makes k, a poll for r, the carrier, and returns the carrier that it replaces. It
// fails with ErrEnded, or with ErrActive if the client has resumed since r was claimed, and
// so no longer reads r's answer.
func (c *Connection) Attach(k Carrier, r *http.Request) (older Carrier, err error) {
	return c.attach(k, Resumption(r))
}

func (c *Connection) attach(k Carrier, resumption int) (older Carrier, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state >= disposing:
		return nil, transports.ErrEnded
	case !c.belongs(resumption):
		return nil, ErrActive
	}
	older, c.carrier, c.writing = c.carrier, k, false
	if d, ok := k.(DirectCarrier); ok {
		c.memory.Store(d.Memory())
	}
	c.left = time.Time{} // Lost may have been called for an older request
	switch {
	case c.state == closing:
		c.wake()
	case len(c.queue.frames) > 0:
		c.flush()
		c.account()
	}
	return older, nil
}

// HasNews reports whether a poll would be answered at once.
func (c *Connection) HasNews() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state >= closing || len(c.queue.frames) > 0
}

// Outcome is the result of Next.
type Outcome uint8

// The results of Next.
const (
	Frames   Outcome = iota // there are frames to send
	Idle                    // the queue is empty; the carrier is woken for the next frame
	Finished                // everything was sent and the application has closed: end in order
	Replaced                // the carrier no longer belongs to the connection
)

// batchBytes is the approximate size of one write.
const batchBytes = 64 << 10

// Next appends the frames that k must send now to dst.
func (c *Connection) Next(k Carrier, dst []*frame.Frame) ([]*frame.Frame, Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.carrier != k:
		return dst, Replaced
	case len(c.queue.frames) > 0:
		dst = c.queue.take(dst, batchBytes, c.registry.options.WaitBytes)
		c.taker = k
		c.account()
		return dst, Frames
	case c.state == closing:
		c.finished = true
		return dst, Finished
	}
	c.writing = false
	return dst, Idle
}

// PutBack returns frames that k, a poll, took and could not send. If a newer poll has taken
// later frames, the connection ends, because the returned ones would arrive out of order. A
// stateful connection sends its frames again when it resumes.
func (c *Connection) PutBack(k Carrier, frames []*frame.Frame) {
	c.mu.Lock()
	if c.taker != k && !c.resumable {
		c.mu.Unlock()
		c.end(transports.ErrCut, true)
		return
	}
	defer c.mu.Unlock()
	if c.state < disposing && !c.resumable {
		c.queue.putBack(frames)
		c.flush() // the next poll may have arrived already
		c.account()
	}
}

// Detach removes k, whose request has ended with cause. A long-polling connection continues
// with the next poll, a stateful one with the next WebSocket or event stream. Any other
// connection ends.
func (c *Connection) Detach(k Carrier, cause error) {
	c.mu.Lock()
	if c.carrier != k || c.state >= disposing {
		c.mu.Unlock()
		return
	}
	interrupted := c.resumable && c.state == open && (errors.Is(cause, transports.ErrCut) || c.kind == transports.ServerSentEvents)
	if c.kind != transports.LongPolling && !interrupted || c.leaving {
		c.mu.Unlock()
		c.end(cause, false)
		return
	}
	c.carrier, c.writing = nil, false
	c.left = time.Now()
	c.mu.Unlock()
	if interrupted {
		c.registry.settle(c)
		c.interrupt(k)
	}
}

// interrupt calls Interrupted because k broke, unless another WebSocket has replaced it.
func (c *Connection) interrupt(k Carrier) {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if r, ok := c.receiver.(transports.Resumer); ok && c.source == k && !c.interrupted {
		returned := false
		defer c.rescue(&returned, nil)
		c.interrupted = true
		r.Interrupted()
		returned = true
	}
}

// Lost ends a claimed request that could not be served, because its client has left. A
// stateful connection waits for the next request, unless that has arrived.
func (c *Connection) Lost(cause error) {
	c.Rest() // first, so that Close knows that there is no request
	c.endIf(cause, false, func() bool { return c.carrier == nil && (!c.resumable || c.state != open) })
}

// leave ends the connection at its client's request. The application may answer a pending
// poll with a final message.
func (c *Connection) leave() {
	c.mu.Lock()
	polled := c.carrier != nil && c.state == open
	c.leaving = true
	c.mu.Unlock()
	defer c.endIf(transports.ErrClientGone, true, func() bool { return c.carrier == nil || c.state != closing })
	if polled && c.receiving.TryLock() {
		closer, ok := c.receiver.(transports.Closer)
		c.receiving.Unlock()
		if ok {
			closer.Close(nil) // the client closed in order
		}
	}
}

// endUnclaimed ends a connection that was created for one request, if that request has not
// claimed it.
func (c *Connection) endUnclaimed() {
	c.endIf(transports.ErrCut, false, func() bool { return c.kind == "" })
}

// Rest ends a claimed request if no carrier is attached. From then on the sweep checks the
// connection.
func (c *Connection) Rest() {
	c.mu.Lock()
	resting := c.carrier == nil && c.state < disposing
	if resting {
		c.left = time.Now()
	}
	resting = resting && c.kind != transports.LongPolling // long polling is always in loose
	c.mu.Unlock()
	if resting {
		c.registry.settle(c)
	}
}

// Finish ends the connection after its carrier has ended in order, or after the client has
// left.
func (c *Connection) Finish(cause error) { c.end(cause, false) }

// Post passes the data of a client's POST to the application. It waits until the application
// has the connection, because a client may post as soon as the answer to its opening request
// begins. Data posted while the connection is closing is discarded. Data of an earlier
// resumption fails with ErrActive.
func (c *Connection) Post(ctx context.Context, resumption int, data []byte) error {
	for {
		opening, err := c.post(resumption, data)
		if opening == nil {
			return err
		}
		select {
		case <-opening:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// post returns a channel to wait for if the application does not have the connection yet.
func (c *Connection) post(resumption int, data []byte) (opening <-chan struct{}, err error) {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if c.interrupted || !c.isCurrent(resumption) { // half a message may have been discarded
		return nil, ErrActive
	}
	if c.receiver != nil {
		_ = c.receive(data) // an error ends the connection, but the POST itself succeeded
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.state {
	case negotiated, open:
		if c.opening == nil {
			c.opening = make(chan struct{})
		}
		return c.opening, nil
	case closing:
		return nil, nil
	default:
		return nil, transports.ErrEnded
	}
}

// letPosts wakes POSTs that wait for the application. The lock is held.
func (c *Connection) letPosts() {
	if c.opening != nil {
		close(c.opening)
		c.opening = nil
	}
}
