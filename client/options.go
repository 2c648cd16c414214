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

// Transport names what carries a connection, as negotiation spells it.
type Transport = signalr.Transport

// The transports of SignalR.
const (
	WebSockets       = signalr.WebSockets
	ServerSentEvents = signalr.ServerSentEvents
	LongPolling      = signalr.LongPolling
)

// Options of a HubConnection. The zero value is what the official clients do by default, but that
// they wait longer for a transport that does not answer.
type Options struct {
	// Transports that may be used; which of them is tried first is the server's choice. Default:
	// all.
	Transports []Transport
	// SkipNegotiation connects by WebSocket without asking the server first: it saves a round trip
	// and needs no sticky sessions. The connection then has no id that the client knows. Default
	// false.
	SkipNegotiation bool
	// Protocol that hub messages are encoded in. A binary one rules out Server-Sent Events. Default
	// protocol.NewJSON(protocol.JSONOptions{}).
	Protocol protocol.HubProtocol

	// Header goes with every request, the WebSocket handshake included. Default none.
	Header http.Header
	// HTTPClient makes the requests; its Timeout is not used, its Jar is. Where its Transport is an
	// *http.Transport (or nil), WebSockets take proxy, dial functions and TLS settings from there, and
	// go through the kinds of proxies that it knows: http, https, socks5 and socks5h.
	// Default: a client of the connection's own, with a cookie jar and the proxies of the environment.
	HTTPClient *http.Client
	// TLS settings of the default HTTPClient, and of WebSockets where the HTTPClient has none.
	// Default: the system's.
	TLS *tls.Config
	// AccessToken is asked for a bearer token before every request, and again when the server
	// answered 401 to the last one. It must be safe for concurrent use; "" sends none. A redirect
	// that comes with a token of its own replaces it for the requests behind the redirect. The request
	// fails when ctx ends before AccessToken returns, and if it panics. Default none.
	AccessToken func(context.Context) (string, error)
	// DisableAutoRefresh keeps the connection from refreshing its authentication by itself. It does so
	// where there is an AccessToken and negotiation tells how long the authentication lasts, as ASP.NET
	// Core 11 and endpoints with EnableAuthenticationRefresh do: 5 minutes before the end, or after half
	// of the time if that is not longer. It tries again after network errors, 429 and 5xx; a refusal is
	// told (OnAuthenticationRefreshFailed) and ends it. Default false.
	DisableAutoRefresh bool

	// Reconnect decides when to try again after a connection was lost, and in Run also when the
	// first attempt fails. Default nil: never.
	Reconnect ReconnectPolicy
	// Memory of the transports that did not work, by origin, so that the next start does not wait
	// for them again. Default: one for the process. NewMemory makes one apart.
	Memory *Memory

	// StatefulReconnect keeps a connection whose socket broke, if the server can do that too: calls,
	// streams and handlers go on over another socket, and nothing is lost, doubled or out of order.
	// Only when the server has forgotten the connection, or cannot be reached for 15 seconds, is it
	// lost. The state stays Connected meanwhile. Default false.
	StatefulReconnect bool
	// StatefulBufferSize in bytes of what is kept with StatefulReconnect until the server
	// acknowledges it, which servers do once a second. A message is taken as long as less than that is
	// kept; otherwise calls, uploads and answers wait. Default 100,000.
	StatefulBufferSize int

	// TransportTimeout is how long a transport may take to prove itself (the WebSocket handshake,
	// the head of an event stream, the first poll, the answer to the SignalR handshake) before the
	// next one is tried. The last one gets HandshakeTimeout. Default 3 s.
	TransportTimeout time.Duration
	// HandshakeTimeout is how long the server may take for the same when there is no other
	// transport to try. Default 15 s.
	HandshakeTimeout time.Duration
	// ServerTimeout ends a connection on which nothing came for so long; pings of the server count.
	// Not used on long polling, where silence is normal. Negative: never. Default 30 s.
	ServerTimeout time.Duration
	// KeepAliveInterval is how long nothing is sent before a ping is. Not used on long polling.
	// Negative: no pings. Default 15 s.
	KeepAliveInterval time.Duration
	// RequestTimeout limits each negotiation and each POST. Default 100 s.
	RequestTimeout time.Duration
	// PollTimeout limits one long poll; it has to be longer than the server's (90 s in ASP.NET
	// Core). Default 120 s.
	PollTimeout time.Duration
	// CloseTimeout is how long an orderly end may take before the connection is cut, and how long what
	// came before an end of another kind may be handled before the ctx of handlers ends. Default 5 s.
	CloseTimeout time.Duration

	// MaxMessageSize limits one hub message from the server in bytes; a longer one ends the
	// connection. Negative: no limit. Default 16 MiB.
	MaxMessageSize int
	// MaxBuffered limits the bytes that wait for handlers and stream consumers; see the package's
	// text on bounds. Default 64 MiB.
	MaxBuffered int

	// Logger gets what has no other place to go: errors and panics of handlers, transports that
	// failed while another worked. Tokens are never logged. Default: slog.Default().
	Logger *slog.Logger
}

const mebibyte = 1 << 20

// sharedMemory is what connections remember together unless they are told otherwise: the network
// is the same for all of them.
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

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
