package transports

import (
	"net/http"
	"strconv"
	"time"
)

// resumed is how often the client of a stateful connection has come back over event
// streams or long polling, and the body that it is posting. There a carrier is many
// requests, so each says by its number which it belongs to: what is left of an older
// one counts no more. Guarded by the connection's lock.
type resumed struct {
	number int
	cut    func() // ends the reading of a body; nil: none is being read
}

// resumption is the number that a request has. The official clients' have none.
func resumption(r *http.Request) int {
	n, err := strconv.Atoi(r.URL.Query().Get("carillonResume"))
	if err != nil {
		return 0
	}
	return n
}

// takeOver makes number the current one, if a request may take the place of the older
// ones. A body that comes no further must not keep those behind it waiting. The lock is
// held.
func (c *Connection) takeOver(number int) error {
	switch {
	case !c.resumable, c.kind != WebSockets && number <= c.resumption.number:
		return ErrActive
	case c.state == closing:
		return ErrEnded
	}
	c.resumption.number = number
	if c.resumption.cut != nil {
		c.resumption.cut()
	}
	return nil
}

// isCurrent tells whether a request belongs to what carries now.
func (c *Connection) isCurrent(number int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.resumable || number == c.resumption.number
}

// beginBody lets the next resumption end the reading of a body; false: it was there
// already.
func (c *Connection) beginBody(w http.ResponseWriter, number int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.resumable {
		return true
	}
	if number != c.resumption.number {
		return false
	}
	c.resumption.cut = func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) }
	return true
}

func (c *Connection) endBody() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumption.cut = nil
}
