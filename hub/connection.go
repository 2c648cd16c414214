package hub

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
)

// Connection is what a session needs of whatever carries it. Its methods are called
// concurrently.
type Connection interface {
	// ID is the public id.
	ID() string
	// Send appends to the bounded queue and never blocks; an error if that is full or
	// the connection has ended.
	Send(f *frame.Frame) error
	// SendWait waits for room in the queue.
	SendWait(ctx context.Context, f *frame.Frame) error
	// Close ends it in order: nothing more is accepted, what is queued goes out, then
	// the carrier ends.
	Close(cause error)
	// Abort drops the queue and cuts.
	Abort(cause error)
	// Context is cancelled, with the cause, when the connection has ended.
	Context() context.Context
}

// LogNamer is a Connection whose id may be a secret.
type LogNamer interface {
	// LogName names the connection in a log.
	LogName() string
}

// Uncorker is a Connection that may keep back what is sent until Receive returns, as
// far as that makes no SendWait wait.
type Uncorker interface {
	// Uncork sends what was kept back: Receive is about to wait.
	Uncork()
}

// Prefetcher is a Connection whose memory is worth to be fetched before Send needs it.
type Prefetcher interface {
	// Prefetch is called for several connections before something is sent to all of them.
	// It loads from what Send needs first, and returns what to load from next, or nil.
	Prefetch() *atomic.Uint32
}

// ConnectInfo is what is known of a connection when it begins.
type ConnectInfo struct {
	// Request returns the one that opened the transport. May be nil.
	Request func() *http.Request
	// Context has the values that the contexts of methods have. May be nil; its end
	// means nothing.
	Context context.Context
	// User who did; nil for an anonymous one.
	User *auth.User
	// Transport by its name in the protocol: "WebSockets", "ServerSentEvents" or
	// "LongPolling".
	Transport string
	// KeepAliveInterval is shorter than the hub's where the network cuts what is silent
	// for a while. Zero: the hub's.
	KeepAliveInterval time.Duration
	// Groups that a client which Listens is in from the beginning.
	Groups []string
	// LastEventID is what a listener got last: what came since is sent to it again, as far
	// as it is kept; see Hub.KeepEvents. Empty: nothing is.
	LastEventID string
	// Listens is for clients that only listen and shake no hands: they get events, see
	// protocol.Events, from the beginning.
	Listens bool
	// Binary tells whether the carrier can do the transfer format Binary.
	Binary bool
	// NoPings is for carriers that keep themselves alive: long polling.
	NoPings bool
	// CloseOnExpiry ends the session when the user's authentication ends, with a close
	// message that invites the client to reconnect; looked at once a second.
	CloseOnExpiry bool
	// StatefulReconnect was asked for, is allowed, and the carrier can do it.
	StatefulReconnect bool
}
