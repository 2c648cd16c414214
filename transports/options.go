package transports

import (
	"log/slog"
	"math"
	"time"
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
	// KeepPollsInServer makes every poll wait within its HTTP server. By default a poll over
	// HTTP/1.1 without TLS waits outside, and middleware sees its request end at once with
	// status 200. With KeepPollsInServer middleware sees the true end and status, and a
	// waiting poll holds some 35 KB instead of 4. Default false.
	KeepPollsInServer bool
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
	// credentials, is answered 403. The endpoint sets the headers that let these pages read
	// answers (CORS), for "*" without credentials unless it is told that they do not matter.
	// Default: none.
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
	// are never logged. Default slog.Default().
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
		o.Logger = slog.Default()
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
