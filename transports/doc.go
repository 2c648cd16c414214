// Package transports carries bytes between a client and an application over WebSockets,
// server-sent events or long polling. An application sees a Connection: one logical duplex
// connection, independent of the number of its HTTP requests. Each carrier has a package of
// its own. This package has their common parts: the Connection with its outbound queue, the
// Registry that finds it by its token, and the handlers of requests.
package transports

import (
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/carillon-go/carillon/signalr"
)

// Type is the name of a transport, as in negotiation.
type Type = signalr.Transport

// The transports of SignalR.
const (
	WebSockets       = signalr.WebSockets
	ServerSentEvents = signalr.ServerSentEvents
	LongPolling      = signalr.LongPolling
)

// Options configure the connections of one endpoint. The zero value has SignalR's defaults: a
// zero field means its default.
type Options struct {
	// DisconnectTimeout is the time after which a connection without a request ends: a
	// negotiated one that was never opened, a long-polling one between two polls, or a
	// stateful one whose socket broke. It is checked once a second. Default 15 s.
	DisconnectTimeout time.Duration
	// PollTimeout is the time after which a poll without data is answered. Default 90 s.
	PollTimeout time.Duration
	// CloseTimeout is the time for which a WebSocket waits for the client's close frame after
	// it has sent its own. Default 5 s.
	CloseTimeout time.Duration
	// HoldTimeout resets an event stream if the client posts nothing within this time after
	// it opens: a proxy is probably buffering the stream. After a reset, unlike after a clean
	// end, the client tries its next transport. A Guide's probe lasts as long, but at most 2
	// s. Zero or negative disables both; endpoint.New replaces zero by 3 s, because clients
	// of a hub begin with a handshake.
	HoldTimeout time.Duration
	// SendTimeout is the time limit of one write, after which the connection is cut. On Linux
	// a network connection is also cut if its client acknowledges no data for four times as
	// long. Default 10 s.
	SendTimeout time.Duration
	// MaxQueueBytes is the limit of the bytes queued for one client. Send fails above it, and
	// above 65,536 messages. A message that may be dropped is queued only while less than 1
	// MiB is queued. For a client that may reconnect statefully one message may exceed the
	// limit. Limits.QueueBytes can lower the limit. The default has room for a burst of
	// broadcasts to a client that polls. Default 16 MiB.
	MaxQueueBytes int
	// WaitBytes is the number of queued bytes from which SendWait waits for room. Default
	// 65536, as ASP.NET Core's TransportMaxBufferSize.
	WaitBytes int
	// MaxHeadBytes is the limit of a request's head in bytes: its URL and its headers, of
	// which there may be 100. A longer one is answered 431. A connection keeps the head of
	// the request that opened it. Default 32768, as ASP.NET Core's server.
	MaxHeadBytes int
	// SubprotocolSelector returns one of the WebSocket subprotocols that a client offers, or
	// "". Default: no subprotocol is selected.
	SubprotocolSelector func(offered []string) string
	// AllowStatefulReconnect keeps a connection when its WebSocket breaks, if the client
	// requested that. If the client requested it for all transports, as the client of this
	// module does, a connection also survives a broken event stream, poll or POST. Default
	// false.
	AllowStatefulReconnect bool
	// AllowedOrigins are the origins whose pages may use the endpoint, in addition to those
	// of its own host, as "https://app.example". "https://*.app.example" allows all
	// subdomains of a host with that scheme and port, but not the host itself. "*" allows
	// every origin. A WebSocket from another page, and any other request of it with
	// credentials, is answered 403. A CORS middleware sets the headers that let a page read
	// answers; it can call endpoint.Endpoint.AllowsOrigin. Default: none.
	AllowedOrigins []string
	// AllowOrigin decides about an origin that is not in AllowedOrigins. It gets the origin
	// in lower case, without the default port of its scheme. It is called concurrently.
	// Default: none.
	AllowOrigin func(origin string) bool
	// Limits are the limits of the resources that clients may use.
	Limits Limits
	// Meter receives the openings and ends of connections. Default: none.
	Meter Meter
	// Logger logs the events of connections, at the debug level in normal operation. Tokens
	// are never logged. Default: none.
	Logger *slog.Logger
}

// WithDefaults returns o with its defaults filled in.
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

// UnacknowledgedTimeout is the time for which a client may acknowledge none of the data sent
// to it. With a ping every 15 s and the default SendTimeout, a broken link is detected within
// 55 s.
func (o Options) UnacknowledgedTimeout() time.Duration { return 4 * o.SendTimeout }

func orDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Application accepts connections.
type Application interface {
	// Connect is called once for a connection, when its transport opens. An error closes the
	// connection.
	Connect(c *Connection) (Receiver, error)
}

// Receiver receives a client's data.
type Receiver interface {
	// Receive is called in order and never concurrently, on the goroutine that reads the
	// connection. data is only valid during the call. Until it returns, no more data is read
	// from that client. An error closes the connection.
	Receive(data []byte) error
	// Disconnected is the last call, and is called once. cause is nil if the client closed
	// the connection in order.
	Disconnected(cause error)
}

// Resumer is implemented by receivers whose connection outlives its WebSocket, event stream,
// or broken polls. Its methods are never called during Receive.
type Resumer interface {
	Receiver
	// Interrupted is called when the carrier breaks or a newer one replaces it. After it has
	// returned, nothing may be sent until Resumed is called: the receiver must keep its
	// messages.
	Interrupted()
	// Resumed is called after Interrupted, when a new carrier is open. Partly received
	// messages and messages that were queued but not written are lost.
	Resumed()
}

// Closer is implemented by receivers that send a final message when the client ends the
// connection while a poll is pending. Close sends that message and closes the connection.
type Closer interface {
	Receiver
	Close(cause error)
}

// The causes with which a connection ends. Connection.Context returns them by context.Cause.
var (
	ErrClientGone  = errors.New("transports: the client ended the connection")
	ErrCut         = errors.New("transports: the connection was cut")
	ErrTimeout     = errors.New("transports: no request came within the disconnect time-out")
	ErrHeld        = errors.New("transports: nothing was posted within the hold time-out of an event stream")
	ErrSendTimeout = errors.New("transports: the client did not read within the send time-out")
	ErrShutdown    = errors.New("transports: the server shuts down")
	ErrQueueFull   = errors.New("transports: the client reads too slowly, its queue is full")
	ErrEnded       = errors.New("transports: the connection has ended")
	ErrDeadline    = errors.New("transports: the request that carried the connection had to end")
	ErrApplication = errors.New("transports: the application ended the connection")
)
