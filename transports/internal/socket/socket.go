// Package socket carries connections over network connections that were taken from the HTTP
// server: WebSockets, and event streams under HTTP/1.1.
//
// The sender itself writes a message with one system call if the socket accepts it, which it
// nearly always does: waking a writer would cost more than the call. A writer goroutine sends
// the rest and ends afterwards.
package socket

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/link"
	"github.com/carillon-go/carillon/internal/poller"
	"github.com/carillon-go/carillon/transports"
)

// Socket is a carrier over a network connection. All methods are safe for concurrent use.
type Socket struct {
	// The fields that TryWrite uses come first, next to each other; see
	// connection.Connection. A Socket has at most 256 bytes, a size class of the allocator,
	// so that these fields are aligned to the processor's cache lines.
	mu      sync.Mutex    // held during a write
	memory  atomic.Uint32 // loading it prefetches the fields around it
	ended   bool          // no more writes are allowed
	rest    []byte        // the rest of frames that the socket accepted only partly; never changed
	framing *Framing
	conn    poller.Conn

	c          *connection.Connection
	protocol   Protocol
	deadline   time.Duration // the write deadline, since begun; mu guards it
	resumption int           // of the request that opened the carrier
}

// New returns a socket for c. resumption is that of the request that opened the carrier.
// early holds bytes that were read from conn already.
func New(p *poller.Poller, c *connection.Connection, resumption int, conn net.Conn, early []byte, framing *Framing) *Socket {
	s := &Socket{c: c, resumption: resumption, framing: framing}
	s.conn.Init(p, conn, early)
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
	s.protocol = p
	s.conn.Serve((*reader)(s))
}

// reader is the poller's view of a Socket.
type reader Socket

// Begin implements poller.Handler. It opens the connection.
func (r *reader) Begin() bool {
	if r.c.Open((*Socket)(r), r.resumption) != nil {
		_ = r.conn.Close()
		return false
	}
	return true
}

// Consume implements poller.Handler.
func (r *reader) Consume(b []byte, full bool, err error) (rest []byte, over bool) {
	rest, cause := r.protocol.Take(b, full, err)
	if cause == nil {
		return rest, false
	}
	return nil, r.end(cause)
}

// Exited implements poller.Handler.
func (r *reader) Exited() (over bool) { return r.end(transports.ErrCut) }

// ActiveWindow implements poller.Handler.
func (r *reader) ActiveWindow() time.Duration { return time.Second }

func (r *reader) end(cause error) (over bool) {
	r.c.Detach((*Socket)(r), cause)
	_ = r.conn.Close()
	return true
}

var begun = time.Now()

// TryWrite implements connection.DirectCarrier.
func (s *Socket) TryWrite(first *frame.Frame, more ...*frame.Frame) (taken int, all bool) {
	if !s.conn.IsSocket() || !s.mu.TryLock() {
		return 0, false
	}
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return 1 + len(more), true
	case len(s.rest) > 0:
		return 0, false
	}
	b := NewBatch()
	defer b.GiveBack()
	b.Frames = append(append(b.Frames, first), more...)
	for taken < len(b.Frames) {
		bytes, n := b.gather(s.framing, b.Frames[taken:])
		written := s.conn.TryWrite(bytes)
		if written == 0 {
			return taken, false
		}
		if written < len(bytes) {
			s.rest = b.rest(s.framing, b.Frames[taken:taken+n], written)
			return taken + n, false
		}
		taken, b.Bytes = taken+n, b.Bytes[:0]
	}
	return taken, true
}

// Memory implements connection.DirectCarrier.
func (s *Socket) Memory() *atomic.Uint32 { return &s.memory }

// Wake implements connection.Carrier. It starts a writer, which runs until the queue is
// empty.
func (s *Socket) Wake() {
	s.conn.Running().Add(1)
	go s.drain()
}

// Cut implements connection.Carrier.
func (s *Socket) Cut(error) { _ = s.conn.Close() }

// drain writes the rest of a frame, and then the queue until it is empty.
func (s *Socket) drain() {
	defer s.conn.Running().Done()
	if err := s.send(nil); err != nil {
		s.fail(err)
		return
	}
	outcome, err := Drain(s.c, s, s.framing, s.send)
	switch {
	case err != nil:
		s.fail(err)
	case outcome == connection.Finished:
		s.protocol.Last()
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

// writeLocked waits until the socket has accepted b. It moves the deadline only if less than
// the send time-out remains, because moving it costs as much as a small write.
func (s *Socket) writeLocked(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	at, timeout := time.Since(begun), s.c.Options().SendTimeout
	if s.deadline-at < timeout {
		s.deadline = at + timeout + timeout/2
		if err := s.conn.SetWriteDeadline(begun.Add(s.deadline)); err != nil {
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
	rest := s.rest // of earlier frames
	s.rest = nil
	if err := s.writeLocked(rest); err != nil {
		return err
	}
	return s.writeLocked(b)
}

// Await makes reading fail if no data arrives within patience. Zero removes the limit.
func (s *Socket) Await(patience time.Duration) { s.conn.Await(patience) }

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
		for until := time.Now().Add(patience); is && ok && time.Now().Before(until); is, ok = link.OnTheWay(s.conn.Conn) {
			time.Sleep(sentInterval) // no event reports the acknowledgement
		}
		if ok {
			ResetNow(s.conn.Conn)
		}
	}
	s.Cut(nil)
}

// CloseWrite closes the writing side and lets the client close the network connection. It
// reports false if the connection cannot be closed in one direction only.
func (s *Socket) CloseWrite() bool {
	if secure, ok := s.conn.Conn.(*tls.Conn); ok && secure.CloseWrite() != nil {
		return false
	}
	half, ok := plain(s.conn.Conn).(interface{ CloseWrite() error })
	return ok && half.CloseWrite() == nil
}

// plain returns the network connection below the TLS of conn, or conn if it has no TLS.
func plain(conn net.Conn) net.Conn {
	if secure, ok := conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return conn
}

// Reset turns the closing of the connection into a TCP reset. Closing a TLS connection still
// sends a TLS alert first.
func (s *Socket) Reset() { resetOnClose(plain(s.conn.Conn)) }

func resetOnClose(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
}

// ResetNow closes conn by a TCP reset, without a TLS alert.
func ResetNow(conn net.Conn) {
	conn = plain(conn)
	resetOnClose(conn)
	_ = conn.Close()
}
