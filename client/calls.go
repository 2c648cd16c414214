package client

import (
	"context"
	"strconv"
	"sync"

	"github.com/carillon-go/carillon/protocol"
)

// call waits for answers of the server. The reader calls item and complete. After complete or fail
// no method is called.
type call interface {
	item(ctx context.Context, raw []byte) error
	complete(m *protocol.Message)
	fail(err error)
}

// calls are the calls of one session that the server has not answered.
type calls struct {
	mu    sync.Mutex
	last  uint64
	open  map[string]call
	ended error
}

func newCalls() *calls { return &calls{open: make(map[string]call)} }

// newID returns an id for an invocation or an upload.
func (c *calls) newID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	return strconv.FormatUint(c.last, 10)
}

// add registers p for the answer to id. It returns the cause if the session has ended.
func (c *calls) add(id string, p call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return c.ended
	}
	c.open[id] = p
	return nil
}

func (c *calls) get(id string) call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open[id]
}

// take removes and returns a call, or returns nil.
func (c *calls) take(id string) call {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.open[id]
	delete(c.open, id)
	return p
}

// failAll fails all calls, and later ones at once.
func (c *calls) failAll(cause error) {
	c.mu.Lock()
	if c.ended == nil {
		c.ended = lostCallError(cause)
	}
	open := c.open
	c.open = make(map[string]call)
	c.mu.Unlock()
	for _, p := range open {
		p.fail(c.ended)
	}
}
