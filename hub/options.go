package hub

import (
	"log/slog"
	"math"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/protocol"
)

// Options configure a hub. Each zero field takes its default, which is that of SignalR
// where SignalR has one. A negative value switches a limit off, unless the field says
// otherwise.
type Options struct {
	// Name identifies the hub in logs. Default "hub".
	Name string
	// HandshakeTimeout is the time a connection has to send its handshake. It is checked
	// once a second. Default 15 s.
	HandshakeTimeout time.Duration
	// KeepAliveInterval is the time between two pings to each client. Other messages do
	// not postpone a ping. It is checked once a second. Long polling has no pings.
	// Default 15 s.
	KeepAliveInterval time.Duration
	// ClientTimeout closes the connection of a client that has sent a ping once and then
	// sends nothing for this long. It is checked once a second. Default 30 s.
	ClientTimeout time.Duration
	// MaxMessageSize is the limit, in bytes, of the handshake and of each message from a
	// client. The separator or length prefix counts. Default 32768.
	MaxMessageSize int
	// StreamBufferCapacity is the number of items of an uploaded stream that are buffered
	// for the method. While the buffer is full, nothing is read from the connection.
	// Default 10.
	StreamBufferCapacity int
	// MaxParallelInvocations is the number of invocations of one client that run at a
	// time. Streams and invocations with uploads do not count. Negative: no limit.
	// Default 1.
	MaxParallelInvocations int
	// MaxInvocationsPerSecond limits the rate of one client, with bursts of thirty times as
	// many. Above it nothing more is read from the client until it may invoke again.
	// Default 1,000.
	MaxInvocationsPerSecond int
	// MaxRelayedBytesPerSecond limits the rate of one client of a Relay in the place of
	// MaxInvocationsPerSecond, in bytes, with bursts of thirty times as many. Above it nothing
	// more is read from the client until it may send again. Default 10 MiB.
	MaxRelayedBytesPerSecond int
	// MaxStreams is the number of streams of one client that run at a time, both
	// directions together. An invocation that would start another stream fails. Default
	// 100.
	MaxStreams int
	// DetailedErrors sends clients the type and text of every error. By default they get
	// only the text of errors made by NewError. Default false.
	DetailedErrors bool
	// StatefulBufferSize is the number of unacknowledged bytes buffered for a client with
	// stateful reconnect. When the buffer is full, completions, stream items and sends to
	// the caller block. Sends from OnConnected do not block, because acknowledgements are
	// read only after OnConnected has returned. One message may exceed the limit. Default
	// 100000.
	StatefulBufferSize int
	// SlowConsumers is the policy for messages to a client that reads too slowly.
	// Clients.SlowConsumers sets it for single messages. Default Disconnect.
	SlowConsumers SlowPolicy
	// JSON configures the JSON hub protocol.
	JSON protocol.JSONOptions
	// Backplane joins the hub to the hubs of other processes. Default nil: there are none.
	Backplane Backplane
	// Commands has Hub.Disconnect, Hub.DisconnectUser and Hub.Groups reach connections of
	// other processes without a Backplane. The part of the hub in a cluster, that of package
	// cluster, can do that. Default Backplane, which does it where it is set.
	Commands Commander
	// Presence has Hub.Count, Hub.Connections and Hub.Exists ask other processes. Default
	// Commands, if it implements Presence, as the part of the hub in a cluster does.
	Presence Presence
	// Relay takes the place of the hub's methods. Default nil: clients invoke the methods.
	Relay Relay
	// Protocols are the names of the hub protocols that clients may choose. Default
	// "json" and "messagepack".
	Protocols []string
	// Authorize decide which users may connect: all have to allow a user, and anonymous
	// clients are refused. An endpoint answers 401 or 403 to each request that they refuse, as
	// ASP.NET Core does for a hub with [Authorize]. auth.Authenticated allows every user.
	// Default none: everybody may connect.
	Authorize []auth.Policy
	// Filters run around invocations, connects and disconnects. The first is the
	// outermost.
	Filters []Filter
	// Logger receives the hub's events, in normal operation at the debug level, and errors
	// and panics of methods at the error level. Arguments, results and tokens are never
	// logged. Default slog.Default().
	Logger *slog.Logger
	// ConnectionLevel is the level of the lines for the opening and the end of each
	// connection. Default slog.LevelDebug.
	ConnectionLevel slog.Leveler
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = "hub"
	}
	o.HandshakeTimeout = orDefault(o.HandshakeTimeout, 15*time.Second)
	o.KeepAliveInterval = orDefault(o.KeepAliveInterval, 15*time.Second)
	o.ClientTimeout = orDefault(o.ClientTimeout, 30*time.Second)
	o.MaxMessageSize = orDefault(o.MaxMessageSize, 32768)
	o.StreamBufferCapacity = max(0, orDefault(o.StreamBufferCapacity, 10))
	o.MaxParallelInvocations = orDefault(o.MaxParallelInvocations, 1)
	if o.MaxParallelInvocations < 0 {
		o.MaxParallelInvocations = math.MaxInt
	}
	o.MaxInvocationsPerSecond = orDefault(o.MaxInvocationsPerSecond, 1000)
	o.MaxRelayedBytesPerSecond = orDefault(o.MaxRelayedBytesPerSecond, 10<<20)
	o.MaxStreams = orDefault(o.MaxStreams, 100)
	o.StatefulBufferSize = orDefault(o.StatefulBufferSize, 100_000)
	if len(o.Protocols) == 0 {
		o.Protocols = []string{"json", "messagepack"}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.ConnectionLevel == nil {
		o.ConnectionLevel = slog.LevelDebug
	}
	return o
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}
