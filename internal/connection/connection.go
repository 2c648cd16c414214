package connection

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// Connection is one logical duplex connection. It has a public id and a secret token, an
// outbound queue with a limit in bytes, and one cause of its end. All methods are safe for
// concurrent use.
type Connection struct {
	// The fields for sending come first and next to each other, because a broadcast to many
	// connections mostly waits for memory. mu guards them, and the fields after the four that
	// receiving guards.
	mu        sync.Mutex
	state     state
	writing   bool // the carrier was woken and has not found the queue empty since then
	corked    bool // sent frames wait in the queue for Uncork
	resumable bool // the connection outlives its requests
	carrier   Carrier
	memory    atomic.Pointer[atomic.Uint32] // the carrier's word for Prefetch, not guarded by a lock; nil: unknown
	queue     queue
	counted   int   // the part of the queue's bytes that the registry's sum contains
	sentBytes int64 // bytes of all messages accepted for sending

	id, token string
	ticket    *auth.Ticket // the ticket that authenticated the negotiation; nil: none
	client    client
	registry  *Registry
	stateful  []transports.Type // transports on which the connection may outlive its requests
	ctx       context.Context
	cancel    context.CancelCauseFunc

	// place is the position in the registry's loose, counted from 1; 0: not in it. The
	// registry's lock guards it.
	place int

	listens  bool                // set before its first request is served
	posts    atomic.Uint32       // number of POSTs
	observer transports.Observer // nil: none; mu guards it and silence
	silence  time.Duration
	// posting is held while the body of a POST is read.
	posting sync.Mutex
	// receiving is held during calls of the receiver, which are never concurrent. It guards
	// the next four fields.
	receiving   sync.Mutex
	receiver    transports.Receiver
	heard       bool    // data has arrived over a WebSocket
	source      Carrier // only this carrier's data is received
	interrupted bool    // Interrupted was called, and Resumed not yet

	kind    transports.Type // empty until a request has chosen a transport
	request *request
	// user is the user that requests must have. refresher receives fresher credentials.
	user      *auth.User
	refreshes *refreshes // nil: there was no refresh
	origin    string     // see Origin
	refresher transports.Refresher
	opening   chan struct{} // closed when the receiver is set or the connection has ended; nil: no call waits
	told      bool          // Disconnected has returned
	finished  bool          // everything was sent, and nothing more will be
	leaving   bool          // the connection ends with the answer to the pending poll
	hangsUp   bool          // see HangUp
	cutOff    bool          // Shutdown has cut it
	// shutting: the server is shutting down.
	shutting   bool
	resumption int   // number of resumptions; see Resumption
	received   int64 // see Received
	body       body
	taker      Carrier   // the last carrier that took frames from the queue
	opened     time.Time // time of the opening
	// left is the end of the connection's last request. It is zero while a request is open.
	left time.Time
}

type state uint8

const (
	negotiated state = iota
	open
	closing // the application has closed it; queued frames are still sent
	disposing
	gone
)

// Carrier sends a connection's frames: a WebSocket, an event stream, or a poll.
type Carrier interface {
	// Wake is called when the queue is not empty or the connection is closing. The
	// connection's lock is held, so Wake must not block or call back. It is not called again
	// until Next has reported that the queue is empty.
	Wake()
	// Cut ends the carrier at once, because the connection has ended with cause. It is called
	// without the lock.
	Cut(cause error)
}

// DirectCarrier is a Carrier that can send without being woken.
type DirectCarrier interface {
	Carrier
	// TryWrite sends as many frames as it can without waiting. taken is the number of frames
	// that it has accepted. all reports that it has sent all of them completely; otherwise it
	// is woken for the rest. It is called like Wake.
	TryWrite(first *frame.Frame, more ...*frame.Frame) (taken int, all bool)
	// Memory returns a word on the cache line that TryWrite reads first. Loading the word
	// prefetches the line. The result is always the same.
	Memory() *atomic.Uint32
}

// OnceCarrier is a Carrier of one answer, such as a poll, that can send the answer without
// being woken.
type OnceCarrier interface {
	Carrier
	// TryAnswer answers with all frames without waiting, and reports whether it did. If so,
	// the carrier no longer belongs to the connection, as after Detach; otherwise it is woken
	// for the frames. It is called like Wake.
	TryAnswer(frames []*frame.Frame) bool
}

// ID returns the public id.
func (c *Connection) ID() string { return c.id }

// Transport returns the connection's transport, or "" before the first request.
func (c *Connection) Transport() transports.Type {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kind
}

// Request returns the request that opened the transport: the WebSocket handshake, the event
// stream's GET, or the first poll. It is nil before. Each call makes a new request without a
// body. Its context has the values of the original request's context but does not end.
func (c *Connection) Request() *http.Request {
	if p := c.packed(); p != nil {
		return p.unpack()
	}
	return nil
}

func (c *Connection) packed() *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.request
}

// RequestContext returns the context of Request.
func (c *Connection) RequestContext() context.Context {
	if p := c.packed(); p != nil {
		return p.ctx
	}
	return context.Background()
}

// Stateful reports whether client and endpoint have agreed in the negotiation that the
// connection may outlive its requests.
func (c *Connection) Stateful() bool { return slices.Contains(c.stateful, c.Transport()) }

// Resume sets whether the connection outlives its requests. A stateful one does by default;
// its receiver can find in its own handshake that the client does not support it.
func (c *Connection) Resume(agreed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumable = agreed && slices.Contains(c.stateful, c.kind)
}

// Posts returns the number of the connection's POSTs.
func (c *Connection) Posts() int { return int(c.posts.Load()) }

// Context returns a context that is cancelled, with the cause, when the connection ends or
// starts closing.
func (c *Connection) Context() context.Context { return c.ctx }

// Options returns the endpoint's options. They must not be changed.
func (c *Connection) Options() *transports.Options { return &c.registry.options }

// Receive passes data that k has read to the application. It fails if the connection has
// ended, if k is not the carrier of the last Open, or if k has broken: half a message may
// have been discarded then, and its rest must not be taken for the beginning of another.
func (c *Connection) Receive(k Carrier, data []byte) error {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if c.source != k || c.interrupted {
		return transports.ErrEnded
	}
	if !c.heard {
		c.heard = true
		if c.ticket != nil {
			c.ticket.Use(c.id)
		}
		c.Tell(transports.Event{Kind: transports.Proved})
	}
	return c.receive(data)
}

// receive requires that receiving is locked.
func (c *Connection) receive(data []byte) (err error) {
	if c.receiver == nil {
		return transports.ErrEnded
	}
	returned := false
	defer c.rescue(&returned, &err)
	err = c.receiver.Receive(data)
	returned = true
	if err != nil {
		c.Close(err)
	}
	return err
}
