package longpolling

import (
	"net/http"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// poll is a poll that can be answered once.
type poll interface {
	connection.Carrier
	// empty answers without a body.
	empty(status int) error
	// data answers with the frames of b.
	data(b batch) error
}

// deliver answers p with the queue of c in one body.
func deliver(c *connection.Connection, p poll) {
	b := batch{socket.NewBatch()}
	defer b.GiveBack()
	outcome := b.gather(c, p)
	if len(b.Frames) == 0 {
		if outcome == connection.Finished {
			c.Finish(transports.ErrApplication)
		}
		c.Detach(p, nil)
		_ = p.empty(http.StatusNoContent)
		return
	}
	sent := false
	defer func() { // also if a middleware's writer panics
		if !sent {
			c.PutBack(p, b.Frames)
		}
		c.Detach(p, nil)
	}()
	sent = p.data(b) == nil
}

// expire answers p without a body at the end of its time. The next poll gets the queue.
func expire(c *connection.Connection, p poll) {
	c.Detach(p, nil)
	_ = p.empty(http.StatusOK)
}

// clientLeft ends p, which began to wait at begun, because its client has left.
func clientLeft(c *connection.Connection, p poll, begun time.Time) {
	c.CutAfter(time.Since(begun))
	c.Detach(p, nil)
}
