package hub

import (
	"context"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
)

// Connection carries the messages of a session. Its methods are called concurrently.
type Connection interface {
	// ID returns the public id.
	ID() string
	// Send appends to the bounded queue and never blocks. It fails if the queue is full
	// or the connection has ended.
	Send(f *frame.Frame) error
	// SendWait is Send, but waits for room in the queue until ctx is done.
	SendWait(ctx context.Context, f *frame.Frame) error
	// Close ends the connection in order: it accepts no more frames, sends the queued
	// ones and then ends the carrier.
	Close(cause error)
	// Abort drops the queue and ends the carrier at once.
	Abort(cause error)
	// Context is cancelled, with the cause, when the connection has ended.
	Context() context.Context
}

// LogNamer is implemented by a Connection with an id that may be a secret.
type LogNamer interface {
	// LogName returns the connection's name for logs.
	LogName() string
}

// Uncorker is implemented by a Connection that may hold frames back until Receive
// returns, as long as no SendWait has to wait for that.
type Uncorker interface {
	// Uncork sends the frames held back. The session calls it before Receive waits.
	Uncork()
}

// Recorder is implemented by a Connection that records the invocations of its client, for
// tests: see package hubtest.
type Recorder interface {
	// Record is called with an invocation that is about to be sent to the client, before the
	// sender's call returns, unless a backplane has delivered it. It must not modify the
	// arguments, block or call back.
	Record(method string, args []any)
}

// ConnectInfo describes a new connection.
type ConnectInfo struct {
	// Request returns the request that opened the transport. May be nil.
	Request func() *http.Request
	// Context provides the values of the methods' contexts. May be nil. Its cancellation
	// is ignored.
	Context context.Context
	// User opened the transport. It is nil for an anonymous client.
	User *auth.User
	// Transport is the protocol's name of the transport: "WebSockets", "ServerSentEvents"
	// or "LongPolling".
	Transport string
	// KeepAliveInterval replaces the hub's interval if it is shorter, for networks that
	// cut silent connections early. Zero: the hub's interval.
	KeepAliveInterval time.Duration
	// Groups are the initial groups of a client that Listens.
	Groups []string
	// LastEventID is the id of the last event that a listener received. Later events are
	// sent again if they are still kept; see Hub.KeepEvents. Empty: nothing is sent
	// again.
	LastEventID string
	// Listens marks a client that only receives events (see protocol.Events) and does no
	// handshake.
	Listens bool
	// Binary reports whether the carrier supports the transfer format Binary.
	Binary bool
	// NoPings is set for carriers with a keep-alive of their own: long polling.
	NoPings bool
	// CloseOnExpiry ends the session when the user's authentication expires, with a close
	// message that allows the client to reconnect. It is checked once a second.
	CloseOnExpiry bool
	// Authorized reports that Options.Authorize have allowed the requests of the connection, as
	// AuthorizeRequests does. Otherwise Hub.Connect asks them.
	Authorized bool
	// StatefulReconnect is set if the client asked for it, the server allows it and the
	// carrier supports it.
	StatefulReconnect bool
}
