package connection

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// Send queues f. It never blocks. It fails with ErrQueueFull if the client reads too slowly,
// and with ErrEnded if the connection accepts no more frames. If the queue is full, f's
// delivery may allow it to drop queued frames, or f. A connection that outlives its requests
// drops no frames.
func (c *Connection) Send(f *frame.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return transports.ErrEnded
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
	c.sentBytes += int64(f.Len())
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
			return transports.ErrEnded
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
			return transports.ErrEnded
		}
	}
}
