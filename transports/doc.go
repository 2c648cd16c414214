// Package transports carries bytes between a client and an application over
// WebSockets, server-sent events or long polling. What an application sees is a
// Connection: one logical duplex connection, however many HTTP requests that
// takes. The carriers are packages of their own; this one has what they share: the
// Connection with its outbound queue, the Registry that finds it by its token, and
// the verbs that turn a request into one of them.
package transports

import (
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/carillon-go/carillon/signalr"
)

// Type names a transport as negotiation does.
type Type = signalr.Transport

// The transports of SignalR.
const (
	WebSockets       = signalr.WebSockets
	ServerSentEvents = signalr.ServerSentEvents
	LongPolling      = signalr.LongPolling
)

// Options of the connections of one endpoint. The zero value is SignalR's
// defaults; zero means the default.
type Options struct {
	// DisconnectTimeout is how long a connection without a request is kept: one that
	// was negotiated and never opened, long polling between two polls, a stateful
	// one whose socket broke. Looked at once a second. Default 15 s.
	DisconnectTimeout time.Duration
	// PollTimeout ends a poll without data. Default 90 s.
	PollTimeout time.Duration
	// CloseTimeout is how long a WebSocket waits for the client's close frame after
	// its own. Default 5 s.
	CloseTimeout time.Duration
	// HoldTimeout cuts an event stream after which its client posts nothing for so long:
	// something on the way holds the stream back, and only an end that is no orderly one
	// lets the client try the next transport. A Guide's probe lasts as long, 2 s at most.
	// Not positive: never; an endpoint with a hub, whose clients begin with a handshake,
	// takes 3 s for zero.
	HoldTimeout time.Duration
	// SendTimeout is how long one write may take before the connection is cut. On Linux a
	// network connection is also cut when its client acknowledges nothing for four times as
	// long. Default 10 s.
	SendTimeout time.Duration
	// MaxQueueBytes is the most that waits to be sent to one client; Send fails
	// beyond it, and beyond 65,536 messages. A message that may be dropped finds room in the
	// first MiB only. A client that may reconnect statefully has room as
	// long as less waits. Limits.QueueBytes may leave less. Default 16 MiB: a burst of
	// broadcasts to a client that polls, not a reader that stopped.
	MaxQueueBytes int
	// WaitBytes is how much may be queued before SendWait waits for room. Default
	// 65536, the original's TransportMaxBufferSize.
	WaitBytes int
	// MaxHeadBytes is how long the head of a request may be: its URL and its headers, which
	// may be 100. A longer one is answered 431. A connection keeps the head of the request
	// that opened it. Default 32768, as the original's server.
	MaxHeadBytes int
	// SubprotocolSelector picks one of the WebSocket subprotocols that a client
	// offers. Default: none is answered.
	SubprotocolSelector func(offered []string) string
	// AllowStatefulReconnect keeps the connection when its WebSocket breaks, for a
	// client that asked for it; for one that asked for all transports, as the client of
	// this module does, also when an event stream, a poll or a POST breaks. Default false.
	AllowStatefulReconnect bool
	// AllowedOrigins are the pages that may use the endpoint besides those of its own
	// host, as "https://app.example"; "https://*.app.example" stands for the subdomains of a
	// host, with that scheme and port and without the host itself; "*" allows all. A
	// WebSocket of any other page, and what else it sends with credentials, is answered
	// 403. Headers that let a page read answers (CORS) are a middleware's, which may ask
	// endpoint.Endpoint.AllowsOrigin. Default: none.
	AllowedOrigins []string
	// AllowOrigin is asked about an origin that is not in AllowedOrigins, in lower case and
	// without the port that its scheme has anyway. It is called concurrently. Default: none.
	AllowOrigin func(origin string) bool
	// Limits of what clients may take.
	Limits Limits
	// Meter is told how many connections there are and for how long. Default: none.
	Meter Meter
	// Logger for the connections' events, at debug level in a normal life; tokens
	// are never logged. Default: none.
	Logger *slog.Logger
}

// WithDefaults returns o with each default in its place.
func (o Options) WithDefaults() Options {
	orDefault(&o.DisconnectTimeout, 15*time.Second)
	orDefault(&o.PollTimeout, 90*time.Second)
	orDefault(&o.CloseTimeout, 5*time.Second)
	orDefault(&o.SendTimeout, 10*time.Second)
	orDefault(&o.MaxQueueBytes, 16<<20)
	orDefault(&o.WaitBytes, 1<<16)
	orDefault(&o.MaxHeadBytes, 1<<15)
	orDefault(&o.Limits.Connections, 100_000)
	orDefault(&o.Limits.ConnectionsPerUser, 1000)
	orDefault(&o.Limits.QueueBytes, 256<<20)
	orDefault(&o.Limits.HeadBytes, min(o.Limits.Connections, math.MaxInt/normalHeadBytes)*normalHeadBytes)
	if o.Meter == nil {
		o.Meter = noMeter{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// UnacknowledgedTimeout is how long a client may acknowledge nothing of what is sent to it.
// With a ping every 15 s, one whose link is gone is found out within 55 s by default.
func (o Options) UnacknowledgedTimeout() time.Duration { return 4 * o.SendTimeout }

func orDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Application accepts connections.
type Application interface {
	// Connect is called once for a connection, when its transport is there. An error
	// ends the connection.
	Connect(c *Connection) (Receiver, error)
}

// Receiver gets what the client sends.
type Receiver interface {
	// Receive is called in order, never twice at once, from the goroutine that read
	// data, which is only valid during the call. While it does not return nothing
	// more is read from that client. An error ends the connection.
	Receive(data []byte) error
	// Disconnected is called once, last. cause is nil if the client ended in order.
	Disconnected(cause error)
}

// Resumer is a Receiver whose connection outlives its WebSocket, event stream or
// broken polls. Its methods are never called while Receive runs.
type Resumer interface {
	Receiver
	// Interrupted: the WebSocket broke, or a newer one takes its place. When it has
	// returned nothing must be sent until Resumed is called: it has to be kept.
	Interrupted()
	// Resumed, always after Interrupted: another WebSocket is there. Nothing of what
	// was half received counts, and what was queued and not written is dropped.
	Resumed()
}

// Closer is a Receiver that has something to say when a client ends its connection
// while it waits for an answer: it sends that and closes the connection.
type Closer interface {
	Receiver
	Close(cause error)
}

// What ends a connection, as Connection.Context's cause.
var (
	ErrClientGone  = errors.New("transports: the client ended the connection")
	ErrCut         = errors.New("transports: the connection was cut")
	ErrTimeout     = errors.New("transports: no request came within the disconnect time-out")
	ErrHeld        = errors.New("transports: nothing was posted within the hold time-out of an event stream")
	ErrSendTimeout = errors.New("transports: the client did not read within the send time-out")
	ErrShutdown    = errors.New("transports: the server shuts down")
	ErrQueueFull   = errors.New("transports: the client reads too slowly, its queue is full")
	ErrEnded       = errors.New("transports: the connection has ended")
	ErrApplication = errors.New("transports: the application ended the connection")
)
