package transports

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/carillon-go/carillon/frame"
)

// Why a request cannot have its connection.
var (
	ErrActive         = errors.New("transports: the connection has an open request already")
	ErrOtherTransport = errors.New("transports: the connection uses another transport")

	errTicket = errors.New("transports: another connection is open with the ticket")
)

// Claim reserves the connection for a request of a transport. first tells that it
// is the one that opens it, or the poll that resumes it. It fails with ErrActive,
// ErrOtherTransport or ErrEnded. A newer WebSocket or event stream of a stateful
// connection cuts the older one; a newer poll takes its place when it is attached.
func (c *Connection) Claim(kind Type, r *http.Request) (first bool, err error) {
	number := Resumption(r)
	older, first, resumes, err := c.claim(kind, r, number)
	if err != nil {
		return false, err
	}
	returned := false
	defer func() {
		if !returned { // an observer or the application ended the goroutine
			c.Lost(ErrApplication)
		}
	}()
	if kind != LongPolling { // which is loose always
		c.registry.settle(c)
	}
	if first {
		c.Tell(Event{Kind: Opened, Request: r})
	}
	if older != nil {
		older.Cut(ErrCut)
		c.interrupt(older)
	}
	if resumes && kind != WebSockets {
		first, err = kind == LongPolling, c.restart(number)
	}
	returned = true
	return first, err
}

// claim reserves the connection and returns the carrier that has to make way.
func (c *Connection) claim(kind Type, r *http.Request, number int) (older Carrier, first, resumes bool, err error) {
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
	if kind != LongPolling || resumes {
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

// admit tells whether a request may have the connection, and whether it takes it over
// from those of a carrier that broke, or is going to. The lock is held.
func (c *Connection) admit(kind Type, number int) (resumes bool, err error) {
	switch {
	case c.kind != "" && c.kind != kind:
		return false, ErrOtherTransport
	case c.state >= disposing || c.kind == "" && c.state == closing:
		return false, ErrEnded
	case c.kind == "", kind == LongPolling && (!c.resumable || number == c.resumption):
		return false, nil
	default:
		return true, c.takeOver(number)
	}
}

// begin makes r the request that opens the connection. It fails when another one is open with
// its ticket, and when its head cannot be kept. The lock is held.
func (c *Connection) begin(kind Type, r *http.Request, number int) error {
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

// Open gives the connection to the application: the first time by Connect, after a
// break by Resumed. From then on k is its carrier, and whose data counts. nil is for a
// first poll, which carries nothing. An older carrier that came in meanwhile is cut. It
// fails as Attach does; resumption is that of the request.
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
	case c.kind == WebSockets: // else Claim has done it
		c.resume()
	}
	if k == nil {
		return nil
	}
	older, err := c.attach(k, resumption)
	if older != nil {
		older.Cut(ErrCut)
	}
	return err
}

// connect needs the lock receiving, behind which the end of the connection waits.
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
	if c.refresher, _ = receiver.(Refresher); c.refresher != nil {
		c.refresher.Refresh(c.user) // it may have come while the application began
	}
	c.receiver = receiver
	c.letPosts()
}

// resume goes on with another WebSocket. If it was faster than the end of the older
// one, the receiver is told of that first: nothing that it sends meanwhile may be in
// the queue that is dropped here.
func (c *Connection) resume() {
	r, ok := c.receiver.(Resumer)
	if !ok {
		c.end(ErrCut, true)
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

// Attach makes k, a poll by r, the carrier. The older one that it replaces is returned. It
// fails with ErrEnded, or with ErrActive if the client has resumed since r was let in: it
// does not listen to r any more.
func (c *Connection) Attach(k Carrier, r *http.Request) (older Carrier, err error) {
	return c.attach(k, Resumption(r))
}

func (c *Connection) attach(k Carrier, resumption int) (older Carrier, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state >= disposing:
		return nil, ErrEnded
	case !c.belongs(resumption):
		return nil, ErrActive
	}
	older, c.carrier, c.writing = c.carrier, k, false
	if d, ok := k.(DirectCarrier); ok {
		c.memory.Store(d.Memory())
	}
	c.left = time.Time{} // Lost may have been told of an older request meanwhile
	switch {
	case c.state == closing:
		c.wake()
	case len(c.queue.frames) > 0:
		c.flush()
		c.account()
	}
	return older, nil
}

// HasNews tells whether a poll would be answered at once.
func (c *Connection) HasNews() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state >= closing || len(c.queue.frames) > 0
}

// Outcome is what Next found.
type Outcome uint8

// What Next finds.
const (
	Frames   Outcome = iota // there are frames to send
	Idle                    // there is nothing; the carrier is woken for the next
	Finished                // everything was sent and the application has closed: end in order
	Replaced                // the carrier is not the connection's any more
)

// batchBytes is about how much one write sends.
const batchBytes = 64 << 10

// Next appends what k is to send now to dst.
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

// PutBack returns frames that k, a poll, took and could not send. If a newer one has taken
// what comes behind them the connection ends: they would come in the wrong order. Those of a
// stateful connection are sent again when it is resumed.
func (c *Connection) PutBack(k Carrier, frames []*frame.Frame) {
	c.mu.Lock()
	if c.taker != k && !c.resumable {
		c.mu.Unlock()
		c.end(ErrCut, true)
		return
	}
	defer c.mu.Unlock()
	if c.state < disposing && !c.resumable {
		c.queue.putBack(frames)
		c.flush() // the next poll may be there already
		c.account()
	}
}

// Detach takes k away: its request has ended, for that cause. Long polling goes on
// with the next poll, a stateful connection with the next WebSocket or event stream;
// else it is over.
func (c *Connection) Detach(k Carrier, cause error) {
	c.mu.Lock()
	if c.carrier != k || c.state >= disposing {
		c.mu.Unlock()
		return
	}
	interrupted := c.resumable && c.state == open && (errors.Is(cause, ErrCut) || c.kind == ServerSentEvents)
	if c.kind != LongPolling && !interrupted || c.leaving {
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

// interrupt tells that k broke, unless another WebSocket has taken its place.
func (c *Connection) interrupt(k Carrier) {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if r, ok := c.receiver.(Resumer); ok && c.source == k && !c.interrupted {
		returned := false
		defer c.rescue(&returned, nil)
		c.interrupted = true
		r.Interrupted()
		returned = true
	}
}

// Lost tells that the request which Claim let in could not be served: its client is
// gone. A stateful connection goes on waiting for the next, if that has not come.
func (c *Connection) Lost(cause error) {
	c.Rest() // first: from then on Close sees that nobody is there
	c.endIf(cause, false, func() bool { return c.carrier == nil && (!c.resumable || c.state != open) })
}

// leave ends the connection because its client says so. A poll that waits still
// gets the application's last words, if it has any.
func (c *Connection) leave() {
	c.mu.Lock()
	polled := c.carrier != nil && c.state == open
	c.leaving = true
	c.mu.Unlock()
	defer c.endIf(ErrClientGone, true, func() bool { return c.carrier == nil || c.state != closing })
	if polled && c.receiving.TryLock() {
		closer, ok := c.receiver.(Closer)
		c.receiving.Unlock()
		if ok {
			closer.Close(nil) // in order
		}
	}
}

// endUnclaimed ends a connection that was made for one request, if that has not claimed it.
func (c *Connection) endUnclaimed() { c.endIf(ErrCut, false, func() bool { return c.kind == "" }) }

// Rest ends a request that Claim let in, if none carries the connection: from now on the
// sweep looks at it.
func (c *Connection) Rest() {
	c.mu.Lock()
	resting := c.carrier == nil && c.state < disposing
	if resting {
		c.left = time.Now()
	}
	resting = resting && c.kind != LongPolling // which is loose always
	c.mu.Unlock()
	if resting {
		c.registry.settle(c)
	}
}

// Finish ends the connection after its carrier ended in order, or the client left.
func (c *Connection) Finish(cause error) { c.end(cause, false) }

// Post hands what a client sent by a request of its own to the application, once that
// has the connection: a client may post as soon as it sees the begin of the answer to the
// request that opens it. What comes while the last of the queue is fetched is dropped. What
// was sent before the resumption that is in force is refused by ErrActive.
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

// post returns opening, to be waited for, if the application does not have the connection.
func (c *Connection) post(resumption int, data []byte) (opening <-chan struct{}, err error) {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if c.interrupted || !c.isCurrent(resumption) { // half of it may be forgotten
		return nil, ErrActive
	}
	if c.receiver != nil {
		_ = c.receive(data) // it has ended the connection; the POST was well all the same
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
		return nil, ErrEnded
	}
}

// letPosts has POSTs look again that wait for the application. The lock is held.
func (c *Connection) letPosts() {
	if c.opening != nil {
		close(c.opening)
		c.opening = nil
	}
}
