package hub

import (
	"log/slog"
	"math"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

// Options of a hub. The zero value is SignalR's defaults; zero means the default
// and a negative value switches off, unless a field says otherwise.
type Options struct {
	// Name of the hub in logs. Default "hub".
	Name string
	// HandshakeTimeout is how long a connection may take for its handshake; looked
	// at once a second. Default 15 s.
	HandshakeTimeout time.Duration
	// KeepAliveInterval is the time between two pings to each client, whatever else
	// is sent; looked at once a second. None on long polling. Default 15 s.
	KeepAliveInterval time.Duration
	// ClientTimeout ends the connection of a client that pinged once and then sent
	// nothing for so long; looked at once a second. Default 30 s.
	ClientTimeout time.Duration
	// MaxMessageSize in bytes of one message from a client, its separator or length
	// prefix included, and of the handshake. Default 32768.
	MaxMessageSize int
	// StreamBufferCapacity is how many items of an uploaded stream wait for their
	// method before nothing more is read from that connection. Default 10.
	StreamBufferCapacity int
	// MaxParallelInvocations of one client. Streams and invocations with uploads are
	// not counted. Negative: no limit. Default 1.
	MaxParallelInvocations int
	// MaxInvocationsPerSecond of one client, ten times as many in a burst. Beyond, its
	// connection is closed, with a close message that does not invite to reconnect.
	// Default 1,000.
	MaxInvocationsPerSecond int
	// MaxStreams of one client that are under way at a time, down and up together. An
	// invocation that would begin another one fails. Default 100.
	MaxStreams int
	// DetailedErrors tells clients the type and text of every error, not only of
	// those made by NewError. Default false.
	DetailedErrors bool
	// StatefulBufferSize in bytes of what is kept for a client that may reconnect
	// statefully, until it acknowledges; what waits for its caller waits then, but for
	// OnConnected, behind which acknowledgements are read. A message is sent as long as
	// less than that is kept. Default 100000.
	StatefulBufferSize int
	// SlowConsumers is what becomes of a message to a client that reads too slowly; see
	// Clients.SlowConsumers for one message. Default Disconnect.
	SlowConsumers SlowPolicy
	// JSON options of the hub's JSON protocol.
	JSON protocol.JSONOptions
	// Protocols that clients may choose, by name. Default "json" and "messagepack".
	Protocols []string
	// Filters around invocations, connects and disconnects; the first is outermost.
	Filters []Filter
	// Logger for the hub's events, at debug level in a normal life. Arguments,
	// results and tokens are never logged. Default: none.
	Logger *slog.Logger
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
	o.MaxStreams = orDefault(o.MaxStreams, 100)
	o.StatefulBufferSize = orDefault(o.StatefulBufferSize, 100_000)
	if len(o.Protocols) == 0 {
		o.Protocols = []string{"json", "messagepack"}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}
