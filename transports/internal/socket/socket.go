// Package socket carries connections over network connections that were taken from
// the HTTP server: WebSockets, and event streams under HTTP/1.1.
//
// What is sent goes out with one system call of the sender if the socket takes it, as
// it nearly always does: a writer that had to be woken for it would cost more than the
// call. Only the rest is left to a writer, which lives until it is out. An idle
// connection holds no buffer, and where the system can tell when there is something to
// read (see Watch), no goroutine.
package socket

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/link"
	"github.com/carillon-go/carillon/transports"
)

// Socket is a carrier over a network connection. All methods are safe for concurrent
// use.
type Socket struct {
	// What TryWrite needs comes first, side by side; see transports.Connection. At 256 bytes,
	// and not at a few more, that is one line of the processor's cache.
	mu      sync.Mutex    // held while writing
	memory  atomic.Uint32 // is only there to be loaded
	ended   bool          // nothing may be written any more
	rest    []byte        // of frames that the socket did not take as a whole; never changed
	framing *Framing
	conn    Conn

	c       *transports.Connection
	watch   *Watch
	watched watched
	spoken  Protocol

	// The reader's own.
	heard   instant // when the client said something last; 0: the connection has not begun
	limited instant // when the deadline for more was set; 0: there is none

	reading sync.Mutex // held while the reader comes to rest or is roused
	until   instant    // when what Await awaits has to be here; 0: nothing is awaited

	deadline instant // of writes that wait; mu guards it

	resumption int // of the request
}

// New returns a socket for c, let in by a request of that resumption. early is what was read
// of conn already.
func New(c *transports.Connection, resumption int, conn net.Conn, early []byte, framing *Framing, watch *Watch) *Socket {
	s := &Socket{c: c, resumption: resumption, framing: framing, watch: watch}
	s.conn.Init(conn, early)
	return s
}

// Protocol is what is spoken over a socket.
type Protocol interface {
	// Take takes what is here, begin and all, and returns the end that it cannot use yet.
	// full tells that no more has room behind that. An error, err or another, is the cause
	// of the end.
	Take(b []byte, full bool, err error) (rest []byte, cause error)
	// Last ends what is sent, when the application has closed the connection in order.
	Last()
}

// Serve carries the connection until p tells the cause of its end. It returns at once.
func (s *Socket) Serve(p Protocol) {
	s.spoken = p
	link.LimitUnacknowledged(s.conn.Conn, s.c.Options().UnacknowledgedTimeout())
	s.watch.readers.Join()
	s.watch.readers.Go(s)
}

// serve carries the connection until it is over or the reader rests.
func (s *Socket) serve() {
	returned := false
	defer func() {
		if !returned { // the application ended the goroutine, and rescue the connection
			s.c.Detach(s, transports.ErrCut)
			s.over()
		}
	}()
	s.talk()
	returned = true
}

// talk opens the connection, unless it is open, and reads.
func (s *Socket) talk() {
	if s.heard == 0 {
		if s.c.Open(s, s.resumption) != nil {
			s.over()
			return
		}
		s.heard = now() // it is about to say more
		s.stay()
	}
	s.read()
}

// over ends what is left when the connection is.
func (s *Socket) over() {
	_ = s.conn.Close()
	s.watch.readers.Leave()
}

// instant is a time since the begin of the process.
type instant time.Duration

var begun = time.Now()

func now() instant { return instant(time.Since(begun)) }

// lively is how close together messages come for which the reader stays: to rest and to be
// roused costs more than a small message.
const lively = instant(time.Second)

// read reads until the connection is over, or so little comes that the reader rests.
func (s *Socket) read() {
	for {
		b, full, err := s.conn.Next()
		if err != nil && s.isLimit(err) {
			if s.pause() {
				return
			}
			continue
		}
		rest, cause := s.spoken.Take(b, full, err)
		if cause != nil {
			s.conn.Keep(nil)
			s.c.Detach(s, cause)
			s.over()
			return
		}
		s.conn.Keep(rest)
		if !s.stay() && s.pause() {
			return
		}
	}
}

// isLimit tells whether reading failed because the client had nothing more to say, and not
// because what was awaited did not come.
func (s *Socket) isLimit(err error) bool {
	s.reading.Lock()
	defer s.reading.Unlock()
	return errors.Is(err, os.ErrDeadlineExceeded) && (s.until == 0 || now() < s.until)
}

// stay tells whether the client talks so much that the reader goes on at once; it limits
// the wait.
func (s *Socket) stay() bool {
	at := now()
	since := at - s.heard
	s.heard = at
	if since > lively {
		return false
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.until == 0 && (s.limited == 0 || at-s.limited > lively) {
		s.limited = at
		_ = s.conn.SetReadDeadline(time.Now().Add(2 * time.Duration(lively)))
	}
	return true
}

// pause ends the reader until the client says something. Where nobody can watch for that, a
// fresh goroutine goes on: what was done for the client has grown the stack of this one, and
// a stack that has once grown never becomes as small again. It fails when the reader is
// needed.
func (s *Socket) pause() bool {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.until > 0 || s.conn.hasEarly() {
		return false
	}
	if s.limited > 0 {
		s.limited = 0
		_ = s.conn.SetReadDeadline(time.Time{})
	}
	if !s.watch.add(s) {
		s.watch.running.Go(s.serve)
	}
	return true
}

// rouse ends the rest of the reader, if it has one: it is to see what happens.
func (s *Socket) rouse() {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.watch.rouse(s)
}

// TryWrite implements transports.DirectCarrier.
func (s *Socket) TryWrite(first *frame.Frame, more ...*frame.Frame) (taken int, all bool) {
	if s.conn.raw.conn == nil || !s.mu.TryLock() {
		return 0, false
	}
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return 1 + len(more), true
	case len(s.rest) > 0:
		return 0, false
	}
	b := batches.Get().(*batch)
	defer b.giveBack()
	b.frames = append(append(b.frames, first), more...)
	for taken < len(b.frames) {
		bytes, n := b.gather(s.framing, b.frames[taken:])
		written := s.conn.TryWrite(bytes)
		if written == 0 {
			return taken, false
		}
		if written < len(bytes) {
			s.rest = b.rest(s.framing, b.frames[taken:taken+n], written)
			return taken + n, false
		}
		taken += n
	}
	return taken, true
}

// Memory implements transports.DirectCarrier.
func (s *Socket) Memory() *atomic.Uint32 { return &s.memory }

// Wake implements transports.Carrier: a writer runs while there is something to send.
func (s *Socket) Wake() {
	s.watch.running.Add(1)
	go s.drain()
}

// Cut implements transports.Carrier.
func (s *Socket) Cut(error) {
	_ = s.conn.Close()
	s.rouse()
}

// drain writes until the queue is empty, the rest of what was begun first.
func (s *Socket) drain() {
	defer s.watch.running.Done()
	if err := s.send(nil); err != nil {
		s.fail(err)
		return
	}
	outcome, err := Drain(s.c, s, s.framing, s.send)
	switch {
	case err != nil:
		s.fail(err)
	case outcome == transports.Finished:
		s.spoken.Last()
	}
}

func (s *Socket) fail(err error) {
	s.c.Detach(s, transports.WriteCause(err))
	s.Cut(err)
}

// Reply writes what goes past the queue. What cannot be written ends the connection: a part of it
// may be on its way, and nothing can follow that.
func (s *Socket) Reply(b []byte) {
	if err := s.Write(b, false); err != nil {
		s.fail(err)
	}
}

// send writes frames, unless nothing may be written any more.
func (s *Socket) send(b []byte) error { return s.Write(b, false) }

// write waits until the socket has taken the rest of what was begun, and b. It needs
// the lock.
func (s *Socket) write(b []byte) error {
	rest := s.rest
	s.rest = nil
	if err := s.writeBytes(rest); err != nil {
		return err
	}
	return s.writeBytes(b)
}

// writeBytes waits until the socket has taken b. The deadline is moved only when less than
// the send time-out is left of it, because moving it costs as much as a small write.
func (s *Socket) writeBytes(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	at, timeout := now(), s.c.Options().SendTimeout
	if s.deadline-at < instant(timeout) {
		s.deadline = at + instant(timeout+timeout/2)
		if err := s.conn.SetWriteDeadline(begun.Add(time.Duration(s.deadline))); err != nil {
			return err
		}
	}
	_, err := s.conn.Write(b)
	return err
}

// Write sends bytes of the carrier's own, such as a control frame, between frames. last
// says that nothing may follow.
func (s *Socket) Write(b []byte, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = last
	return s.write(b)
}

// Await makes reading fail when nothing comes for a while; zero: it waits for ever.
func (s *Socket) Await(patience time.Duration) {
	s.reading.Lock()
	var deadline time.Time
	if s.until, s.limited = 0, 0; patience > 0 {
		s.until = now() + instant(patience)
		deadline = time.Now().Add(patience)
	}
	_ = s.conn.SetReadDeadline(deadline)
	s.reading.Unlock()
	s.rouse()
}

// Silence is how long nothing has moved on the connection; see link.Silence.
func (s *Socket) Silence() (d time.Duration, ok bool) { return link.Silence(s.conn.Conn) }

// sentInterval is how often HangUp looks whether the client's system has everything.
const sentInterval = 5 * time.Millisecond

// HangUp resets the network connection, without a word of TLS, once the client's system has
// acknowledged what was written, or after patience. Where the system cannot tell that, it
// closes the connection instead.
func (s *Socket) HangUp(patience time.Duration) {
	if s.Write(nil, true) == nil {
		is, ok := link.OnTheWay(s.conn.Conn)
		for until := now() + instant(patience); is && ok && now() < until; is, ok = link.OnTheWay(s.conn.Conn) {
			time.Sleep(sentInterval) // nothing tells when it has
		}
		if ok {
			s.Reset()
			if secure, isTLS := s.conn.Conn.(*tls.Conn); isTLS {
				_ = secure.NetConn().Close()
			}
		}
	}
	s.Cut(nil)
}

// CloseWrite ends what is sent and leaves the network connection to the client to close. It
// fails where only both can be ended.
func (s *Socket) CloseWrite() bool {
	conn := s.conn.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		if secure.CloseWrite() != nil {
			return false
		}
		conn = secure.NetConn()
	}
	half, ok := conn.(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// Reset makes closing the connection a TCP reset.
func (s *Socket) Reset() { ResetOnClose(s.conn.Conn) }

// ResetOnClose makes closing conn a TCP reset. A TLS connection that is closed still says
// so first.
func ResetOnClose(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
}
