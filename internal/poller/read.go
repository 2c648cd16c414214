package poller

import (
	"errors"
	"os"
	"sync"
	"time"
)

// Handler handles the data of a connection. The connection's reader calls its methods, never
// concurrently.
type Handler interface {
	// Begin is called before the first read of Serve. It reports false if the connection has
	// ended.
	Begin() bool
	// Consume parses b and returns the unconsumed tail. full reports that the buffer cannot
	// grow. err is the error of reading. over ends the reading: Consume has closed the
	// connection or passed it on.
	Consume(b []byte, full bool, err error) (rest []byte, over bool)
	// Exited is called after Begin or Consume called runtime.Goexit. over is as in Consume.
	Exited() (over bool)
	// ActiveWindow is the pause between reads up to which the reader keeps reading. Parking
	// and waking a reader costs more than a small message.
	ActiveWindow() time.Duration
}

// instant is a time since the start of the process.
type instant time.Duration

var begun = time.Now()

func now() instant { return instant(time.Since(begun)) }

// reading is the state of a connection's reader.
type reading struct {
	heard instant // the last return of Next; 0: none. Used by the reader only.

	mu      sync.Mutex  // held while the reader is parked or woken
	limited instant     // the last setting of the read deadline by keepReading; 0: none is set
	until   instant     // the deadline of Await; 0: none
	timer   *time.Timer // wakes the parked reader at until; nil: not needed yet
}

// Serve starts the reader, which calls h. It returns at once.
func (c *Conn) Serve(h Handler) {
	c.handler = h
	c.poller.readers.Join()
	c.poller.readers.Go(c)
}

// ServeParked is Serve for a connection on which the client is not expected to send data soon.
// It does not call Begin.
func (c *Conn) ServeParked(h Handler) {
	c.handler = h
	c.poller.readers.Join()
	if c.heard = now(); !c.park() {
		c.poller.readers.Go(c)
	}
}

// serve reads until the connection ends or is parked.
func (c *Conn) serve() {
	over, returned := false, false
	defer func() {
		if !returned { // application code called runtime.Goexit
			c.Keep(nil)
			if over = c.handler.Exited(); !over {
				c.poller.readers.Go(c)
			}
		}
		if over {
			c.stopTimer()
			c.poller.readers.Leave()
		}
	}()
	over = c.read()
	returned = true
}

func (c *Conn) read() (over bool) {
	if c.heard == 0 {
		if !c.handler.Begin() {
			return true
		}
		c.heard = now() // the client will send data soon
		c.keepReading()
	}
	for {
		b, full, err := c.Next()
		if err != nil && c.isLimit(err) {
			if c.park() {
				return false
			}
			continue
		}
		rest, over := c.handler.Consume(b, full, err)
		c.Keep(rest)
		if over {
			return true
		}
		if !c.keepReading() && c.park() {
			return false
		}
	}
}

// isLimit reports whether a read failed because of the deadline of keepReading, and not
// because of the deadline of Await.
func (c *Conn) isLimit(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Is(err, os.ErrDeadlineExceeded) && (c.until == 0 || now() < c.until)
}

// keepReading reports whether the client is so active that the reader should read again. If
// so, it sets a deadline for that read.
func (c *Conn) keepReading() bool {
	at, window := now(), c.window()
	since := at - c.heard
	c.heard = at
	if since > window {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limited == 0 || at-c.limited > window {
		c.limited = at
		c.setReadDeadlineLocked()
	}
	return true
}

func (c *Conn) window() instant { return instant(c.handler.ActiveWindow()) }

// setReadDeadlineLocked sets the earlier one of the deadlines of Await and keepReading.
func (c *Conn) setReadDeadlineLocked() {
	at := c.until
	if c.limited > 0 {
		if limit := c.limited + 2*c.window(); at == 0 || limit < at {
			at = limit
		}
	}
	var deadline time.Time
	if at > 0 {
		deadline = begun.Add(time.Duration(at))
	}
	_ = c.SetReadDeadline(deadline)
}

// park ends the reader until the client sends data, or until the deadline of Await. Where the
// poller cannot wait for that, a new goroutine continues instead: handling the client's
// messages has grown the stack of this one, and a grown stack never becomes as small again.
// park reports false if the reader must go on.
func (c *Conn) park() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.early) > 0 {
		return false
	}
	if c.limited > 0 {
		c.limited = 0
		c.setReadDeadlineLocked()
	}
	c.setTimerLocked()
	if !c.poller.add(c) {
		c.poller.running.Go(c.serve)
	}
	return true
}

// setTimerLocked makes the timer wake the reader at the deadline of Await. A timer that wakes
// an active reader does nothing.
func (c *Conn) setTimerLocked() {
	switch wait := time.Duration(c.until - now()); {
	case c.until == 0 && c.timer != nil:
		c.timer.Stop()
		c.timer = nil
	case c.until == 0:
	case c.timer == nil:
		c.timer = time.AfterFunc(wait, c.wake)
	default:
		c.timer.Reset(wait)
	}
}

// stopTimer is called at the end of the connection.
func (c *Conn) stopTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = 0
	c.setTimerLocked()
}

// wake resumes a parked reader, so that it notices a change.
func (c *Conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.poller.wake(c)
}

// Remaining returns the time until the deadline of Await. It is negative if there is none.
func (c *Conn) Remaining() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.until - now())
}

// Await makes reading fail if no data arrives within patience. Zero or negative removes the
// limit.
func (c *Conn) Await(patience time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.poller.wake(c)
	c.until = 0
	if patience > 0 {
		c.until = now() + instant(patience)
	}
	c.setReadDeadlineLocked()
}
