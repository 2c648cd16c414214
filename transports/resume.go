package transports

import (
	"net/http"
	"strconv"
)

// Resumption is how often the client of a stateful connection has come back, as a request
// says it. Over event streams and long polling a carrier is many requests, so each says by
// this number which it belongs to: what is left of an older one counts no more. Nor does the
// handshake of an older WebSocket. The official clients send none, which counts as 0, as
// does all that is not a number below 2^31.
func Resumption(r *http.Request) int {
	value, given := Parameter(r, "carillonResume")
	if given == 0 {
		return 0
	}
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// received reads from a request that resumes how many messages the client has received, 0 if the
// request does not say. The official clients' does not.
func received(r *http.Request) int64 {
	value, given := Parameter(r, "carillonReceived")
	if given == 0 {
		return 0
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Received returns the number of the last message that the client has received, as its last request
// to resume says, 0 if it does not. The number is not checked.
func (c *Connection) Received() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received
}

// takeOver makes number the current one, if a request may take the place of the older
// ones. A body that comes no further must not keep those behind it waiting. The lock is
// held.
func (c *Connection) takeOver(number int) error {
	switch {
	case !c.resumable, number <= c.resumption && (number > 0 || c.kind != WebSockets):
		return ErrActive
	case c.state == closing:
		return ErrEnded
	}
	c.resumption = number
	c.body.cut()
	return nil
}

// restart goes on with the requests of a resumption, before the client hears that it
// may: what it then posts must not meet half a record.
func (c *Connection) restart(number int) error {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if !c.isCurrent(number) {
		return ErrActive
	}
	c.source = nil         // whose end is none of the connection's any more
	if c.receiver != nil { // else it was closed meanwhile, and the last words are to be fetched
		c.resume()
	}
	return nil
}

// isCurrent tells whether a request belongs to what carries now.
func (c *Connection) isCurrent(number int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.belongs(number)
}

// belongs needs the lock.
func (c *Connection) belongs(number int) bool { return !c.resumable || number == c.resumption }
