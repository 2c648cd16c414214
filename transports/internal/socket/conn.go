package socket

import "net"

// Conn is a network connection that was taken from the HTTP server. It holds no buffer
// while there is nothing to read. It may be written by others while one goroutine reads.
type Conn struct {
	raw raw // first: what TryWrite needs
	net.Conn
	early []byte          // what the HTTP server had read already
	idle  *[idleSize]byte // what to wait into where a buffer cannot be borrowed later
}

// idleSize is what an idle connection holds to read into under TLS, where only the
// library knows when there is something to read.
const idleSize = 512

// Init makes it conn, of which early was read already.
func (c *Conn) Init(conn net.Conn, early []byte) {
	c.Conn, c.early = conn, early
	c.raw.init(conn)
}

// Next waits for the client and returns all that is here: what Keep was given, and what
// came since. It is valid until Keep is called, which has to be before the next call. full
// tells that no more has room behind it.
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
	r.have += n
	if r.buffer == nil {
		return nil, false, err
	}
	return r.buffer[:r.have], r.have == bufferSize, err
}

// hasEarly tells whether Next has something without reading.
func (c *Conn) hasEarly() bool { return len(c.early) > 0 }

func (c *Conn) borrow() {
	if c.raw.buffer == nil {
		c.raw.buffer = buffers.Get().(*[bufferSize]byte)
	}
}

// Keep keeps rest, the end of what Next returned, for its next call.
func (c *Conn) Keep(rest []byte) {
	r := &c.raw
	if r.have = len(rest); r.have > 0 {
		copy(r.buffer[:], rest)
		return
	}
	r.giveBack()
}

// TryWrite writes what the socket takes without waiting, and tells how much.
func (c *Conn) TryWrite(b []byte) int { return c.raw.write(b) }
