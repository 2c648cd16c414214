package socket

import "net"

// Conn is a network connection that was taken from the HTTP server. It holds no buffer while
// there is nothing to read. One goroutine may read while others write.
type Conn struct {
	raw raw // first, for TryWrite; see Socket
	net.Conn
	early []byte          // bytes that the HTTP server had read already
	idle  *[idleSize]byte // the buffer for waiting where none can be borrowed later
}

// idleSize is the size of the buffer into which an idle connection reads under TLS, where
// only the TLS library can tell when data is available.
const idleSize = 512

// Init initializes c with conn. early holds bytes that were read from conn already.
func (c *Conn) Init(conn net.Conn, early []byte) {
	c.Conn, c.early = conn, early
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
	r.have += n
	if r.buffer == nil {
		return nil, false, err
	}
	return r.buffer[:r.have], r.have == bufferSize, err
}

// hasEarly reports whether Next can return data without reading.
func (c *Conn) hasEarly() bool { return len(c.early) > 0 }

func (c *Conn) borrow() {
	if c.raw.buffer == nil {
		c.raw.buffer = buffers.Get().(*[bufferSize]byte)
	}
}

// Keep stores rest, the tail of the result of Next, for the next call of Next.
func (c *Conn) Keep(rest []byte) {
	r := &c.raw
	if r.have = len(rest); r.have > 0 {
		copy(r.buffer[:], rest)
		return
	}
	r.giveBack()
}

// TryWrite writes as many bytes as the socket accepts without waiting, and returns their
// number.
func (c *Conn) TryWrite(b []byte) int { return c.raw.write(b) }
