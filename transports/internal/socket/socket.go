// Package socket carries connections over network connections that were taken from the HTTP
// server: WebSockets, and event streams under HTTP/1.1.
//
// The sender itself writes a message with one system call if the socket accepts it, which it
// nearly always does: waking a writer would cost more than the call. A writer goroutine sends
// the rest and ends afterwards. An idle connection holds no buffer and, where the system can
// report available data (see Watch), no goroutine.
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
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/link"
	"github.com/carillon-go/carillon/transports"
)

// Socket is a carrier over a network connection. All methods are safe for concurrent use.
type Socket struct {
	// The fields that TryWrite uses come first, next to each other; see
	// transports.Connection. A Socket has at most 256 bytes, a size class of the allocator,
	// so that these fields are aligned to the processor's cache lines.
	mu      sync.Mutex    // held during a write
	memory  atomic.Uint32 // loading it prefetches the fields around it
	ended   bool          // no more writes are allowed
	rest    []byte        // the rest of frames that the socket accepted only partly; never changed
	framing *Framing
	conn    Conn

	c       *connection.Connection
	watch   *Watch
	watched watched
	spoken  Protocol

	// Used by the reader only.
	heard   instant // the last received data; 0: the connection has not begun
	limited instant // the last setting of the read deadline by keepReading; 0: none is set

	reading sync.Mutex // held while the reader is parked or woken
	until   instant    // the deadline of Await; 0: none

	deadline instant // the write deadline; mu guards it

	resumption int // of the request that opened the carrier
}

// New returns a socket for c. resumption is that of the request that opened the carrier.
// early holds bytes that were read from conn already.
func New(c *connection.Connection, resumption int, conn net.Conn, early []byte, framing *Framing, watch *Watch) *Socket {
	s := &Socket{c: c, resumption: resumption, framing: framing, watch: watch}
	s.conn.Init(conn, early)
	return s
}

// Protocol is the protocol on a socket.
type Protocol interface {
	// Take parses b and returns the unconsumed tail. full reports that the buffer cannot
	// grow. If err is set, or parsing fails, Take returns the cause with which the connection
	// ends.
	Take(b []byte, full bool, err error) (rest []byte, cause error)
	// Last ends the sending direction after the application has closed the connection in
	// order.
	Last()
}

// Serve carries the connection until p returns a cause of its end. Serve itself returns at
// once.
func (s *Socket) Serve(p Protocol) {
	s.spoken = p
	link.LimitUnacknowledged(s.conn.Conn, s.c.Options().UnacknowledgedTimeout())
	s.watch.readers.Join()
	s.watch.readers.Go(s)
}

// serve carries the connection until it ends or the reader is parked.
func (s *Socket) serve() {
	returned := false
	defer func() {
		if !returned { // application code called runtime.Goexit
			s.c.Detach(s, transports.ErrCut)
			s.over()
		}
	}()
	s.talk()
	returned = true
}

// talk opens the connection if it is not open yet, and reads.
func (s *Socket) talk() {
	if s.heard == 0 {
		if s.c.Open(s, s.resumption) != nil {
			s.over()
			return
		}
		s.heard = now() // the client will send data soon
		s.keepReading()
	}
	s.read()
}

// over closes the network connection and releases the readers.
func (s *Socket) over() {
	_ = s.conn.Close()
	s.watch.readers.Leave()
}

// instant is a time since the start of the process.
type instant time.Duration

var begun = time.Now()

func now() instant { return instant(time.Since(begun)) }

// activeWindow is the pause between messages up to which the reader keeps reading. Parking
// and waking a reader costs more than a small message.
const activeWindow = instant(time.Second)

// read reads until the connection ends, or until the client is so quiet that the reader
// parks.
func (s *Socket) read() {
	for {
		b, full, err := s.conn.Next()
		if err != nil && s.isLimit(err) {
			if s.park() {
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
		if !s.keepReading() && s.park() {
			return
		}
	}
}

// isLimit reports whether a read failed because of the deadline of keepReading, and not
// because of the deadline of Await.
func (s *Socket) isLimit(err error) bool {
	s.reading.Lock()
	defer s.reading.Unlock()
	return errors.Is(err, os.ErrDeadlineExceeded) && (s.until == 0 || now() < s.until)
}

// keepReading reports whether the client is so active that the reader should read again. If
// so, it sets a deadline for that read.
func (s *Socket) keepReading() bool {
	at := now()
	since := at - s.heard
	s.heard = at
	if since > activeWindow {
		return false
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.until == 0 && (s.limited == 0 || at-s.limited > activeWindow) {
		s.limited = at
		_ = s.conn.SetReadDeadline(time.Now().Add(2 * time.Duration(activeWindow)))
	}
	return true
}

// park ends the reader until the client sends data. Where no Watch can wait for that, a new
// goroutine continues instead: handling the client's messages has grown the stack of this
// one, and a grown stack never becomes as small again. park reports false if the reader must
// go on.
func (s *Socket) park() bool {
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

// wakeReader resumes a parked reader, so that it notices a change.
func (s *Socket) wakeReader() {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.watch.wake(s)
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

// Wake implements transports.Carrier. It starts a writer, which runs until the queue is
// empty.
func (s *Socket) Wake() {
	s.watch.running.Add(1)
	go s.drain()
}

// Cut implements transports.Carrier.
func (s *Socket) Cut(error) {
	_ = s.conn.Close()
	s.wakeReader()
}

// drain writes the rest of a frame, and then the queue until it is empty.
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
	case outcome == connection.Finished:
		s.spoken.Last()
	}
}

func (s *Socket) fail(err error) {
	s.c.Detach(s, connection.WriteCause(err))
	s.Cut(err)
}

// Reply writes b without queueing it. A failed write ends the connection: a part of b may
// have been sent, and nothing can follow that.
func (s *Socket) Reply(b []byte) {
	if err := s.Write(b, false); err != nil {
		s.fail(err)
	}
}

// send writes frames, unless no more writes are allowed.
func (s *Socket) send(b []byte) error { return s.Write(b, false) }

// writeLocked waits until the socket has accepted the rest of earlier frames, and b.
func (s *Socket) writeLocked(b []byte) error {
	rest := s.rest
	s.rest = nil
	if err := s.writeBytesLocked(rest); err != nil {
		return err
	}
	return s.writeBytesLocked(b)
}

// writeBytesLocked waits until the socket has accepted b. It moves the deadline only if less
// than the send time-out remains, because moving it costs as much as a small write.
func (s *Socket) writeBytesLocked(b []byte) error {
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

// Write sends bytes of the carrier itself, such as a control frame, between frames. After a
// write with last set, no more writes are allowed.
func (s *Socket) Write(b []byte, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = last
	return s.writeLocked(b)
}

// Await makes reading fail if no data arrives within patience. Zero removes the limit.
func (s *Socket) Await(patience time.Duration) {
	s.reading.Lock()
	var deadline time.Time
	if s.until, s.limited = 0, 0; patience > 0 {
		s.until = now() + instant(patience)
		deadline = time.Now().Add(patience)
	}
	_ = s.conn.SetReadDeadline(deadline)
	s.reading.Unlock()
	s.wakeReader()
}

// Silence returns for how long nothing has moved on the connection; see link.Silence.
func (s *Socket) Silence() (d time.Duration, ok bool) { return link.Silence(s.conn.Conn) }

// sentInterval is the interval at which HangUp checks whether the client's system has
// acknowledged everything.
const sentInterval = 5 * time.Millisecond

// HangUp resets the network connection, without a TLS alert, after the client's system has
// acknowledged all written data, or after patience. Where the operating system cannot report
// this, HangUp closes the connection instead.
func (s *Socket) HangUp(patience time.Duration) {
	if s.Write(nil, true) == nil {
		is, ok := link.OnTheWay(s.conn.Conn)
		for until := now() + instant(patience); is && ok && now() < until; is, ok = link.OnTheWay(s.conn.Conn) {
			time.Sleep(sentInterval) // no event reports the acknowledgement
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

// CloseWrite closes the writing side and lets the client close the network connection. It
// reports false if the connection cannot be closed in one direction only.
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

// Reset turns the closing of the connection into a TCP reset.
func (s *Socket) Reset() { ResetOnClose(s.conn.Conn) }

// ResetOnClose turns the closing of conn into a TCP reset. Closing a TLS connection still
// sends a TLS alert first.
func ResetOnClose(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
}
