package connection

import (
	"context"
	"slices"

	"github.com/carillon-go/carillon/transports"
)

// Connection is one logical duplex connection. It has a public id and a secret token, an
// outbound queue with a limit in bytes, and one cause of its end. All methods are safe for
// concurrent use.
type Connection struct {
	outbound // first, for the sake of broadcasts
	cancel   context.CancelCauseFunc
	opening
	inbound
	uploads
	identity
	observation
	stateful []transports.Type // transports on which the connection may outlive its requests

	// place is the position in the registry's idle, counted from 1; 0: not in it. The
	// registry's lock guards it.
	place  int32
	wanted bool // a request has come that may open it; the registry's lock guards it
	cutOff bool // Shutdown has cut it; mu guards it
}

// Stateful implements transports.Connection.
func (c *Connection) Stateful() bool { return slices.Contains(c.stateful, c.Transport()) }

// Resume implements transports.Connection.
func (c *Connection) Resume(agreed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumable = agreed && slices.Contains(c.stateful, c.kind)
}

// Context implements transports.Connection.
func (c *Connection) Context() context.Context { return c.ctx }

// Options returns the endpoint's options. They must not be changed.
func (c *Connection) Options() *transports.Options { return &c.registry.options }
