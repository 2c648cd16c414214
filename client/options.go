package client

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/protocol"
	"github.com/carillon-go/carillon/signalr"
)

// Transport is the name of a transport, as in the negotiation.
type Transport = signalr.Transport

// These are the transports of SignalR.
const (
	WebSockets       = signalr.WebSockets
	ServerSentEvents = signalr.ServerSentEvents
	LongPolling      = signalr.LongPolling
)

// Options configure a HubConnection. The zero value behaves like the official clients, except that
// they wait longer for a transport that does not answer.
type Options struct {
	// Transports are the allowed transports. The server decides about their order. Default: all.
	Transports []Transport
	// SkipNegotiation connects by WebSocket without a negotiation. That saves a round trip and
	// needs no sticky sessions. The client then does not know the connection's id. Default false.
	SkipNegotiation bool
	// Protocol is the hub protocol. A binary protocol excludes Server-Sent Events. Default
	// protocol.NewJSON(protocol.JSONOptions{}).
	Protocol protocol.HubProtocol

	// Header is sent with every request, the WebSocket handshake included. Default none.
	Header http.Header
	// HTTPClient makes the requests. Its Jar is used, its Timeout is not. If its Transport is an
	// *http.Transport or nil, WebSockets use the proxy, the dial functions and the TLS settings of
	// that transport. Default: a separate client with a cookie jar and the proxies of the
	// environment.
	HTTPClient *http.Client
	// TLS configures the default HTTPClient, and WebSockets if the HTTPClient has no TLS settings.
	// Default: the system's settings.
	TLS *tls.Config
	// AccessToken returns a bearer token. It is called before every request, and again if the
	// server answered 401 to the last one. It must be safe for concurrent use. "" sends no token.
	// If a redirect of the negotiation carries a token, that token is used for the following
	// requests. The request fails if ctx ends before AccessToken returns, and if AccessToken
	// panics. Default none.
	AccessToken func(context.Context) (string, error)
	// DisableAutoRefresh switches automatic refreshes of the authentication off. They happen if
	// there is an AccessToken and the negotiation reports how long the authentication lasts, as
	// with ASP.NET Core 11 and endpoints with EnableAuthenticationRefresh: 5 minutes before the
	// end, or after half of the lifetime if that is at most 5 minutes. After network errors, 429
	// and 5xx the refresh is repeated. A refusal ends automatic refreshes and calls
	// OnAuthenticationRefreshFailed. Default false.
	DisableAutoRefresh bool

	// Reconnect decides when to connect again after the connection was lost, and in Run also after
	// a first attempt that failed. Default nil: never.
	Reconnect ReconnectPolicy
	// Memory remembers failed transports by origin, so that the next start does not wait for them
	// again. Default: one shared by the process. NewMemory makes a separate one.
	Memory *Memory

	// StatefulReconnect keeps a connection when its socket breaks, if the server supports it.
	// Calls, streams and handlers continue on another socket, and no message is lost, duplicated or
	// reordered. The connection is lost only if the server has forgotten it, or cannot be reached
	// for 15 seconds. Until then the state stays Connected. Default false.
	StatefulReconnect bool
	// StatefulBufferSize is the number of unacknowledged bytes that are kept with
	// StatefulReconnect. Servers acknowledge once a second. When the buffer is full, calls, uploads
	// and results of handlers block. One message may exceed the limit. Default 100,000.
	StatefulBufferSize int

	// TransportTimeout is the time in which a transport must work before the next one is tried. It
	// applies to the WebSocket handshake, the head of an event stream or the first poll, and then
	// to the response to the SignalR handshake. The last transport gets HandshakeTimeout. Default 3
	// s.
	TransportTimeout time.Duration
	// HandshakeTimeout is the same time for the last transport. Default 15 s.
	HandshakeTimeout time.Duration
	// ServerTimeout ends a connection on which no data arrives for this time. Pings of the server
	// count. It is not used for long polling. Negative: never. Default 30 s.
	ServerTimeout time.Duration
	// KeepAliveInterval is the time after the last message to the server until a ping is sent. It
	// is not used for long polling. Negative: no pings. Default 15 s.
	KeepAliveInterval time.Duration
	// RequestTimeout limits each negotiation and each POST. Default 100 s.
	RequestTimeout time.Duration
	// PollTimeout limits one long poll. It must be longer than the server's limit (90 s in ASP.NET
	// Core). Default 120 s.
	PollTimeout time.Duration
	// CloseTimeout limits an orderly end; then the connection is cut. After any other end, messages
	// that have already arrived get this long to be handled before the ctx of handlers ends.
	// Default 5 s.
	CloseTimeout time.Duration

	// MaxMessageSize is the limit in bytes of one message from the server. A longer one ends the
	// connection. Negative: no limit. Default 16 MiB.
	MaxMessageSize int
	// MaxBuffered is the limit in bytes of messages that wait for handlers and for loops over
	// streams; see Bounds in the package documentation. Default 64 MiB.
	MaxBuffered int

	// Logger receives errors that are returned nowhere: errors and panics of handlers, and
	// transports that failed while another one worked. Tokens are never logged. Default:
	// slog.Default().
	Logger *slog.Logger
}

const mebibyte = 1 << 20

// sharedMemory is the default Memory. All connections use the same network.
var sharedMemory = NewMemory()

func (o Options) withDefaults() Options {
	if len(o.Transports) == 0 {
		o.Transports = []Transport{WebSockets, ServerSentEvents, LongPolling}
	}
	if o.Protocol == nil {
		o.Protocol = protocol.NewJSON(protocol.JSONOptions{})
	}
	if o.Memory == nil {
		o.Memory = sharedMemory
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	setDefault(&o.StatefulBufferSize, 100_000)
	setDefault(&o.TransportTimeout, 3*time.Second)
	setDefault(&o.HandshakeTimeout, 15*time.Second)
	setDefault(&o.ServerTimeout, 30*time.Second)
	setDefault(&o.KeepAliveInterval, 15*time.Second)
	setDefault(&o.RequestTimeout, 100*time.Second)
	setDefault(&o.PollTimeout, 120*time.Second)
	setDefault(&o.CloseTimeout, 5*time.Second)
	setDefault(&o.MaxMessageSize, 16*mebibyte)
	setDefault(&o.MaxBuffered, 64*mebibyte)
	return o
}

// closing returns a context that ends after CloseTimeout. It has the values of ctx.
func (o *Options) closing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), o.CloseTimeout)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
