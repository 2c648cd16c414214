package connection

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/transports"
)

// outbound is the way of frames to the client: the queue and the carrier that sends them. Its
// lock also guards the state of the connection, which decides whether frames are accepted.
type outbound struct {
	// A broadcast to many connections mostly waits for memory. The fields that Send needs are
	// within the first 64 bytes.
	mu sync.Mutex
	lifecycle
	writing   bool // the carrier was woken and has not found the queue empty since then
	corked    bool // sent frames wait in the queue for Uncork
	carrier   Carrier
	memory    atomic.Pointer[atomic.Uint32] // the carrier's word for Prefetch, not guarded by a lock; nil: unknown
	sentBytes int64                         // bytes of all messages accepted for sending
	queue     queue
	counted   int // the part of the queue's bytes that the registry's sum contains
	// taker is the last carrier that took frames from the queue, while it may still put them
	// back. A carrier can hold its request and the HTTP server's buffers, so none stays here.
	taker Carrier
	// left is the end of the connection's last request. It is zero while a request is open.
	left       time.Time
	opened     time.Duration   // age of the registry at the opening
	kind       transports.Type // empty until a request has chosen a transport
	resumption int             // number of resumptions; see Resumption
	received   int64           // see Received
	changed    notify.Gate     // opens for waiting requests when the receiver is set or the connection closes or ends
	registry   *Registry
	ctx        context.Context
}

// Transport implements transports.Connection. It is "" before the first request.
func (o *outbound) Transport() transports.Type {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.kind
}

// Send implements transports.Connection.
func (o *outbound) Send(f *frame.Frame) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != open {
		return transports.ErrEnded
	}
	if len(o.queue.frames) > 0 {
		if done, err := o.queue.makeRoom(f, o.roomForLocked(f.Len()), o.resumable); done {
			o.accountLocked()
			return err
		}
	}
	o.pushLocked(f)
	return nil
}

// Prefetch makes the processor prefetch part of the memory that Send needs, and returns a
// word in the rest of it, or nil. Calling it for several connections before the first Send
// makes the processor fetch their memory concurrently.
func (o *outbound) Prefetch() *atomic.Uint32 { return o.memory.Load() }

func (o *outbound) pushLocked(f *frame.Frame) {
	o.sentBytes += int64(f.Len())
	if o.passLocked(f) {
		return
	}
	o.queue.push(f)
	if !o.corked || o.queue.bytes >= o.registry.options.WaitBytes {
		o.flushLocked()
	}
	o.accountLocked()
}

// passLocked reports whether the carrier accepted f directly. That avoids accessing the
// queue's memory.
func (o *outbound) passLocked(f *frame.Frame) bool {
	if o.writing || o.corked || len(o.queue.frames) > 0 {
		return false
	}
	k, ok := o.carrier.(DirectCarrier)
	if !ok {
		return false
	}
	taken, all := k.TryWrite(f)
	if taken > 0 && !all {
		o.wakeLocked()
	}
	return taken > 0
}

// flushLocked sends the queue, directly if the carrier can.
func (o *outbound) flushLocked() {
	if o.writing || !o.trySendLocked() {
		o.wakeLocked()
	}
}

// trySendLocked reports whether the carrier accepted the whole queue.
func (o *outbound) trySendLocked() (all bool) {
	taken := 0
	switch k := o.carrier.(type) {
	case DirectCarrier:
		taken, all = k.TryWrite(o.queue.frames[0], o.queue.frames[1:]...)
	case OnceCarrier:
		if o.leaving {
			return false
		}
		answered, sent := k.TryAnswer(o.queue.frames)
		if !answered {
			return false
		}
		if o.taker = k; sent {
			o.taker = nil
		}
		taken, all = len(o.queue.frames), true
		o.carrier, o.left = nil, time.Now()
	}
	o.queue.discard(taken, o.registry.options.WaitBytes)
	return all
}

func (o *outbound) wakeLocked() {
	if o.carrier != nil && !o.writing {
		o.writing = true
		o.carrier.Wake()
	}
}

// Attach makes k the carrier and returns the carrier that it replaces. resumption is that of
// the request of k. Attach fails with ErrEnded, or with ErrActive if the client has resumed
// since the request was claimed, and so no longer reads its answer.
func (o *outbound) Attach(k Carrier, resumption int) (older Carrier, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.state >= ended:
		return nil, transports.ErrEnded
	case !o.isCurrentLocked(resumption):
		return nil, ErrActive
	}
	older, o.carrier, o.writing = o.carrier, k, false
	if d, ok := k.(DirectCarrier); ok {
		o.memory.Store(d.Memory())
	}
	o.left = time.Time{} // Abandon may have been called for an older request
	switch {
	case o.isClosing():
		o.wakeLocked()
	case len(o.queue.frames) > 0:
		o.flushLocked()
		o.accountLocked()
	}
	return older, nil
}

// detachLocked removes the carrier and returns it.
func (o *outbound) detachLocked() (k Carrier) {
	k, o.carrier, o.writing = o.carrier, nil, false
	return k
}

func (o *outbound) dropQueueLocked() {
	o.queue.drop()
	o.accountLocked()
}

// PutBack returns frames that k, a poll, took and could not send to the head of the queue, if
// they are still needed. If a newer poll has taken later frames, the connection ends, because
// the returned ones would arrive out of order. It must be called before Detach.
func (c *Connection) PutBack(k Carrier, frames []*frame.Frame) {
	c.mu.Lock()
	late := c.taker != k
	if c.state >= ended || c.resumable { // a stateful connection sends them again when it resumes
		late = false
	} else if !late {
		c.queue.putBack(frames)
		c.flushLocked() // the next poll may have arrived already
		c.accountLocked()
	}
	c.mu.Unlock()
	if late {
		c.Abort(transports.ErrCut)
	}
}

// Cork delays sending until Uncork, or until WaitBytes are queued. So the answers to messages
// that arrived together are sent together. A receiver that waits for anything must call
// Uncork first.
func (o *outbound) Cork() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.corked = true
}

// Uncork must be called before more data is read. It first yields to the goroutines that
// handle the received messages, so that they can send the answers that need no waiting. Then
// it sends the delayed frames.
func (o *outbound) Uncork() {
	runtime.Gosched()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.corked = false; len(o.queue.frames) > 0 {
		o.flushLocked()
		o.accountLocked()
	}
}

// SendWait implements transports.Connection.
func (o *outbound) SendWait(ctx context.Context, f *frame.Frame) error {
	for {
		o.mu.Lock()
		if o.state != open {
			o.mu.Unlock()
			return transports.ErrEnded
		}
		if o.queue.bytes < o.registry.options.WaitBytes {
			o.pushLocked(f)
			o.mu.Unlock()
			return nil
		}
		room := o.queue.room.Wait()
		o.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-o.ctx.Done():
			return transports.ErrEnded
		}
	}
}

// hasEnded reports whether the carrier's half of the connection has ended.
func (o *outbound) hasEnded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state >= ended
}

// Received returns the number of the last message that the client has received, as its last
// request to resume states, or 0 if it does not. The number is not checked.
func (o *outbound) Received() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.received
}

// HasNews reports whether a poll would be answered at once.
func (o *outbound) HasNews() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state >= closing || len(o.queue.frames) > 0
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
func (o *outbound) Next(k Carrier, dst []*frame.Frame) ([]*frame.Frame, Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.carrier != k:
		return dst, Replaced
	case len(o.queue.frames) > 0:
		dst = o.queue.take(dst, batchBytes, o.registry.options.WaitBytes)
		o.taker = k
		o.accountLocked()
		return dst, Frames
	case o.isClosing():
		o.advance(sent)
		return dst, Finished
	}
	o.writing = false
	return dst, Idle
}

// accountLocked updates the connection's part of the registry's queued bytes. A frame that is
// sent at once changes nothing.
func (o *outbound) accountLocked() {
	if d := o.queue.bytes - o.counted; d != 0 {
		o.counted = o.queue.bytes
		o.registry.queued.Add(int64(d))
	}
}

// Hold adds n bytes that the application keeps for the connection to the registry's queued
// bytes; a negative n subtracts. It reports whether the sum exceeds the limit. If so, an
// application that already keeps bytes for the connection must not keep more. With n = 0 it
// only checks, and counts a refusal.
func (o *outbound) Hold(n int) (full bool) {
	sum, limit := o.registry.queued.Add(int64(n)), int64(o.registry.options.Limits.QueueBytes)
	if limit <= 0 || sum <= limit {
		return false
	}
	if n == 0 { // only a check
		_ = o.registry.refuse(&o.registry.refused.queue, "queued bytes", nil)
	}
	return true
}

// Room returns the number of bytes that may be queued for the connection: MaxQueueBytes, or
// the free part of the limit of all connections together if that is smaller. So no number of
// slow readers takes everything: with n of them, a share of one in n+1 is left for each other
// connection.
func (o *outbound) Room() int {
	own, all := o.registry.options.MaxQueueBytes, o.registry.options.Limits.QueueBytes
	if all <= 0 {
		return own
	}
	free := int64(all) - o.registry.queued.Load()
	return int(min(max(free, 0), int64(own)))
}

// roomForLocked returns Room. It counts a refusal if other connections leave too little room
// for n more bytes.
func (o *outbound) roomForLocked(n int) int {
	room := o.Room()
	if room < o.registry.options.MaxQueueBytes && room < o.queue.bytes+n {
		_ = o.registry.refuse(&o.registry.refused.queue, "queued bytes", nil)
	}
	return room
}
