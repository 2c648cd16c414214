// Package socket carries connections over network connections that were taken from
// the HTTP server: WebSockets, and event streams under HTTP/1.1.
//
// What is sent goes out with one system call of the sender if the socket takes it, as
// it nearly always does: a writer that had to be woken for it would cost more than the
// call. Only the rest is left to a writer, which lives until it is out. An idle
// connection has one goroutine, with a small stack, that waits for the client; it holds
// no buffer.
package socket

import (
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// Socket is a carrier over a network connection. All methods are safe for concurrent
// use.
type Socket struct {
	c       *transports.Connection
	conn    Conn
	framing *Framing
	running *sync.WaitGroup
	spoken  Protocol
	reads   int       // how often was read, up to a few
	waiting time.Time // since when the present goroutine reads

	mu       sync.Mutex // held while writing
	ended    bool       // nothing may be written any more
	rest     []byte     // of a frame that the socket did not take as a whole
	deadline time.Time  // of writes that wait
}

// New returns a socket for c. early is what was read of conn already. Its goroutines are
// counted in running.
func New(c *transports.Connection, conn net.Conn, early []byte, framing *Framing, running *sync.WaitGroup) *Socket {
	s := &Socket{c: c, framing: framing, running: running}
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
	s.running.Go(func() {
		if s.c.Open(s) != nil {
			_ = s.conn.Close()
			return
		}
		s.wait()
	})
}

// wait has a goroutine of its own read on. What was done for the client has grown the
// stack of this one, and a stack that has once grown never becomes as small again.
func (s *Socket) wait() {
	s.waiting = time.Now()
	s.running.Add(1)
	go s.loop()
}

func (s *Socket) loop() {
	defer s.running.Done()
	for {
		b, full, err := s.conn.Next()
		if s.take(b, full, err) {
			return
		}
	}
}

// take tells that the loop is over: the connection is, or another goroutine goes on.
// That costs little, but more than a small message: it is done after the first reads and
// then about once a second.
func (s *Socket) take(b []byte, full bool, err error) (over bool) {
	rest, cause := s.spoken.Take(b, full, err)
	if cause != nil {
		s.conn.Keep(nil)
		s.c.Detach(s, cause)
		_ = s.conn.Close()
		return true
	}
	s.conn.Keep(rest)
	if s.reads > earlyReads && time.Since(s.waiting) < restAfter {
		return false
	}
	s.reads = min(s.reads+1, earlyReads+1)
	s.wait()
	return true
}

const (
	earlyReads = 2
	restAfter  = time.Second
)

// TryWrite implements transports.DirectCarrier.
func (s *Socket) TryWrite(frames []*frame.Frame) (taken int, all bool) {
	if s.conn.raw.conn == nil || !s.mu.TryLock() {
		return 0, false
	}
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return len(frames), true
	case len(s.rest) > 0:
		return 0, false
	}
	b := batches.Get().(*batch)
	defer b.giveBack()
	for taken < len(frames) {
		bytes, n := b.gather(s.framing, frames[taken:])
		written := s.conn.TryWrite(bytes)
		if written == 0 {
			return taken, false
		}
		taken += n
		if written < len(bytes) {
			s.rest = append(s.rest, bytes[written:]...)
			return taken, false
		}
	}
	return taken, true
}

// Wake implements transports.Carrier: a writer runs while there is something to send.
func (s *Socket) Wake() {
	s.running.Add(1)
	go s.drain()
}

// Cut implements transports.Carrier.
func (s *Socket) Cut(error) { _ = s.conn.Close() }

// drain writes until the queue is empty, the rest of what was begun first.
func (s *Socket) drain() {
	defer s.running.Done()
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
	_ = s.conn.Close()
}

// send writes frames, unless nothing may be written any more.
func (s *Socket) send(b []byte) error { return s.Write(b, false) }

// write waits until the socket has taken the rest of what was begun, and b. It needs
// the lock. The deadline is moved only when less than the send time-out is left of it,
// because moving it costs as much as a small write.
func (s *Socket) write(b []byte) error {
	if len(s.rest) > 0 {
		b = append(s.rest, b...)
		s.rest = nil
	}
	if len(b) == 0 {
		return nil
	}
	now, timeout := time.Now(), s.c.Options().SendTimeout
	if s.deadline.Sub(now) < timeout {
		s.deadline = now.Add(timeout + timeout/2)
		if err := s.conn.SetWriteDeadline(s.deadline); err != nil {
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
	var deadline time.Time
	if patience > 0 {
		deadline = time.Now().Add(patience)
	}
	_ = s.conn.SetReadDeadline(deadline)
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
