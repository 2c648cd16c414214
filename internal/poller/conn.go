// Package poller reads network connections that were taken from the HTTP server.
//
// A connection holds no buffer while there is nothing to read. Once it has been quiet for a
// while it is parked: where the system can report available data, it then has no goroutine.
// All connections of a Poller share one goroutine that waits for data, and a crew of readers.
package poller

import (
	"net"
	"sync"
)

// Conn is a network connection that was taken from the HTTP server. The connection's reader
// calls Next and Keep. All other methods are safe for concurrent use.
type Conn struct {
	raw raw // first, for TryWrite
	net.Conn
	early string          // bytes that the HTTP server had read already
	idle  *[idleSize]byte // the buffer for waiting where none can be borrowed later

	poller  *Poller
	handler Handler
	parking parking
	reading
}

// idleSize is the size of the buffer into which an idle connection reads under TLS, where
// only the TLS library can tell when data is available.
const idleSize = 512

// Init initializes c with conn. early holds bytes that were read from conn already.
func (c *Conn) Init(p *Poller, conn net.Conn, early []byte) {
	c.poller, c.Conn, c.early = p, conn, string(early)
	c.raw.init(conn)
}

// Next waits for data and returns all available bytes: those passed to Keep, followed by new
// ones. The result is valid until Keep, which must be called before the next call of Next.
// full reports that the buffer cannot grow.
func (c *Conn) Next() (b []byte, full bool, err error) {
	r := &c.raw
	var n int
	switch {
	case len(c.early) > 0:
		c.borrow()
		n = copy(r.buffer[r.have:], c.early)
		c.early = c.early[n:]
	case r.conn != nil:
		n, err = r.read()
	case r.have > 0:
		n, err = c.Read(r.buffer[r.have:])
	default:
		if c.idle == nil {
			c.idle = new([idleSize]byte)
		}
		n, err = c.Read(c.idle[:])
		c.borrow()
		copy(r.buffer[:], c.idle[:n])
	}
	r.have += int32(n)
	if r.buffer == nil {
		return nil, false, err
	}
	return r.buffer[:r.have], r.have == bufferSize, err
}

func (c *Conn) borrow() {
	if c.raw.buffer == nil {
		c.raw.buffer = buffers.Get().(*[bufferSize]byte)
	}
}

// Keep stores rest, the tail of the result of Next, for the next call of Next.
func (c *Conn) Keep(rest []byte) {
	r := &c.raw
	if r.have = int32(len(rest)); r.have > 0 {
		copy(r.buffer[:], rest)
		return
	}
	r.giveBack()
}

// IsSocket reports whether the connection is itself a socket, as it is not under TLS.
func (c *Conn) IsSocket() bool { return c.raw.conn != nil }

// TryWrite writes as many bytes as the socket accepts without waiting, and returns their
// number.
func (c *Conn) TryWrite(b []byte) int { return c.raw.write(b) }

// Running returns the counter of the poller's goroutines. Those that use the connection may
// add to it.
func (c *Conn) Running() *sync.WaitGroup { return c.poller.running }

// Close closes the connection and wakes its reader.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.wake()
	return err
}
