package reentry

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/internal/poller"
)

// Waiter is a request that waits for its answer. The goroutine that claims it by Conn.Claim
// must answer it by Conn.Answer or Conn.Release.
type Waiter interface {
	// Expire is called when the request has waited for as long as Park allows.
	Expire()
	// Leave is called when the client has closed its network connection.
	Leave()
}

// Conn is an HTTP/1.1 network connection outside of its HTTP server. A request waits on it, or
// its client has received an answer and may send the next request. Safe for concurrent use.
type Conn struct {
	conn    poller.Conn
	server  *server
	host    string    // only requests for this host
	path    string    // and this path are served here
	serving *Response // of the running handler; used by the reader only
	// header has the lines of the answer's header that middleware set. It does not change
	// while a request waits.
	header atomic.Pointer[[]byte]

	mu       sync.Mutex
	waiter   Waiter      // nil: no request waits
	busy     bool        // a request is being served or answered
	free     notify.Gate // opens when no request waits and busy is false
	answered time.Time
}

// offer makes w the waiting request. header is for its answer.
func (c *Conn) offer(w Waiter, header http.Header) {
	h := headers.Get().(*bytes.Buffer)
	defer headers.Put(h)
	h.Reset()
	_ = header.WriteSubset(h, ofAnswers) // a bytes.Buffer never fails
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiter, c.busy = w, false
	if old := c.header.Load(); old == nil || !bytes.Equal(*old, h.Bytes()) {
		lines := bytes.Clone(h.Bytes())
		c.header.Store(&lines)
	}
}

var headers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// ofAnswers are the headers that each answer sets itself.
var ofAnswers = map[string]bool{"Content-Type": true, "Content-Length": true}

// Claim makes w no longer wait, and the caller must answer it. It reports false if w was
// claimed before.
func (c *Conn) Claim(w Waiter) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiter != w {
		return false
	}
	c.waiter, c.busy = nil, true
	return true
}

// TryAnswer answers w with b without waiting. It returns the number of written bytes: 0 if w
// was claimed before or nothing could be written. If it returns less than the length of b and
// not 0, the caller has claimed w and must answer with the rest.
func (c *Conn) TryAnswer(w Waiter, b []byte) (written int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiter != w {
		return 0
	}
	switch written = c.conn.TryWrite(b); written {
	case 0:
	case len(b):
		c.releaseLocked()
	default:
		c.waiter, c.busy = nil, true
	}
	return written
}

// Answer calls write to write the answer to a claimed request within timeout, and then
// releases c.
func (c *Conn) Answer(timeout time.Duration, write func(io.Writer) error) error {
	defer c.Release()
	_ = c.conn.SetWriteDeadline(time.Now().Add(timeout))
	if err := write(&c.conn); err != nil {
		_ = c.conn.Close()
		return err
	}
	_ = c.conn.SetWriteDeadline(time.Time{}) // the client may have left after receiving its answer
	return nil
}

// AppendHead appends the head of an answer with a body of n bytes, or without a body if n is
// negative. begin is its status line and the headers that Park did not get.
func (c *Conn) AppendHead(b []byte, begin string, n int) []byte {
	b = append(append(b, begin...), *c.header.Load()...)
	if n >= 0 {
		b = append(b, "Content-Length: "...)
		b = append(strconv.AppendInt(b, int64(n), 10), "\r\n"...)
	}
	if c.server.closing.Load() {
		b = append(b, "Connection: close\r\n"...)
	}
	b = time.Now().UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat)
	return append(b, "\r\n\r\n"...)
}

// Go calls f in a goroutine, which the shutdown of the connection's endpoint waits for.
func (c *Conn) Go(f func()) { c.conn.Running().Go(f) }

// Release allows the next request to be served after an answer.
func (c *Conn) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releaseLocked()
}

func (c *Conn) releaseLocked() {
	c.waiter, c.busy, c.answered = nil, false, time.Now()
	c.free.Open()
	if c.server.closing.Load() {
		_ = c.conn.Close()
	}
}

func (c *Conn) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiter == nil && !c.busy {
		_ = c.conn.Close()
	}
}

// reader is the poller's view of a Conn.
type reader Conn

// Begin implements poller.Handler. It is not called.
func (r *reader) Begin() bool { return true }

// Consume implements poller.Handler.
func (r *reader) Consume(b []byte, _ bool, err error) (rest []byte, over bool) {
	c := (*Conn)(r)
	switch {
	case err == nil:
		c.await()
		return nil, c.next(b)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, c.expire()
	}
	if w := c.waiting(); w != nil {
		w.Leave()
	}
	return nil, c.end()
}

// Exited implements poller.Handler. The handler of a request called runtime.Goexit.
func (r *reader) Exited() (over bool) {
	c := (*Conn)(r)
	w := c.serving
	c.serving = nil
	switch {
	case w != nil && w.waiting:
		return false
	case w != nil && w.taken:
		c.server.forget(c)
		return true
	}
	return c.end()
}

// ActiveWindow implements poller.Handler. One goroutine reads requests that are answered every
// second, because growing the stack of a new one costs a tenth of an answer.
func (r *reader) ActiveWindow() time.Duration { return 10 * time.Second }

func (c *Conn) waiting() Waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiter
}

func (c *Conn) end() (over bool) {
	c.server.forget(c)
	_ = c.conn.Close()
	return true
}

// await blocks a pipelined request until the waiting request is answered. A disconnect during
// that time goes unnoticed, as in the HTTP server.
func (c *Conn) await() {
	c.mu.Lock()
	w := c.waiter
	if w == nil && !c.busy {
		c.mu.Unlock()
		return
	}
	free := c.free.Wait()
	c.mu.Unlock()
	if w == nil {
		<-free
		return
	}
	timeout := time.NewTimer(c.conn.Remaining())
	defer timeout.Stop()
	select {
	case <-timeout.C:
		w.Expire()
	case <-free:
	}
	<-free
}

// expire is called at the read deadline, which is that of a waiting request or of the wait for
// the next one.
func (c *Conn) expire() (over bool) {
	c.mu.Lock()
	w, idle := c.waiter, time.Since(c.answered)
	if c.busy {
		idle = 0
	}
	c.mu.Unlock()
	if w != nil {
		w.Expire()
		idle = 0
	}
	limit := c.server.idleTimeout()
	if limit > 0 && idle >= limit {
		return c.end()
	}
	c.conn.Await(limit - idle)
	return false
}
