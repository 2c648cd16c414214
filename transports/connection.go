package transports

import (
	"context"
	"net/http"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
)

// Connection is one logical duplex connection, independent of the number of its HTTP
// requests. It has an outbound queue with a limit in bytes, and one cause of its end. An
// endpoint passes it to Application.Connect. All methods are safe for concurrent use.
type Connection interface {
	// ID returns the public id.
	ID() string
	// LogName returns a name of the connection for logs: its id, or a hash of the id if the
	// id itself opens the connection, as with version 0 of negotiation and without
	// negotiation.
	LogName() string
	// Transport returns the connection's transport.
	Transport() Type
	// Request returns the request that opened the transport: the WebSocket handshake, the
	// event stream's GET, or the first poll. Each call makes a new request without a body.
	// Its context has the values of the original request's context but does not end.
	Request() *http.Request
	// RequestContext returns the context of Request.
	RequestContext() context.Context
	// User returns the connection's user with the freshest credentials, or nil for an
	// anonymous client.
	User() *auth.User
	// Context returns a context that is cancelled, with the cause, when the connection ends
	// or starts closing.
	Context() context.Context
	// Stateful reports whether client and endpoint have agreed in the negotiation that the
	// connection may outlive its requests.
	Stateful() bool
	// Resume sets whether the connection outlives its requests. A stateful one does by
	// default; its receiver can find in its own handshake that the client does not support
	// it.
	Resume(agreed bool)
	// Send queues f. It never blocks. It fails with ErrQueueFull if the client reads too
	// slowly, and with ErrEnded if the connection accepts no more frames. If the queue is
	// full, f's delivery may allow it to drop queued frames, or f. A connection that outlives
	// its requests drops no frames.
	Send(f *frame.Frame) error
	// SendWait waits until less than Options.WaitBytes are queued, and then queues f. It
	// fails with the cause of ctx, or with ErrEnded.
	SendWait(ctx context.Context, f *frame.Frame) error
	// Uncork sends the frames that were sent during Receive. They are delayed, so that the
	// answers to messages that arrived together are sent together. Receive must call it
	// before it waits for anything.
	Uncork()
	// Close ends the connection in order: it accepts no more frames, the queue is sent, then
	// the transport ends.
	Close(cause error)
	// HangUp ends the connection like Close, but without the closing handshake of a
	// WebSocket: the queue is sent, then the network connection is reset.
	HangUp(cause error)
	// Abort ends the connection at once. It drops the queue.
	Abort(cause error)
}
