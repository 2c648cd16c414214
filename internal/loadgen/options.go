// Package loadgen puts load on any SignalR server and measures its answers. Connections
// are cheap, so that the client does not distort the result: a raw socket, one goroutine
// and some kilobytes each, and no allocation per message.
package loadgen

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Mode is the kind of load.
type Mode string

// The modes.
const (
	Idle      Mode = "idle"      // opens connections and holds them
	Broadcast Mode = "broadcast" // receives invocations; asks for them if a rate or a window is set
	Echo      Mode = "echo"      // invokes a method that returns its argument, again and again
	Connect   Mode = "connect"   // negotiates, connects, shakes hands, leaves, again and again
	Negotiate Mode = "negotiate" // negotiates only, again and again
)

// Transport is a SignalR transport.
type Transport string

// The transports.
const (
	WebSockets       Transport = "websockets"
	ServerSentEvents Transport = "sse"
	LongPolling      Transport = "longpolling"
)

// Options configure a run.
type Options struct {
	URL       string // of the hub
	Mode      Mode
	Transport Transport // default WebSockets
	Protocol  string    // json or messagepack; default json
	// Connections is how many connections are open; for [Connect] and [Negotiate], how many
	// are made concurrently. Default 100.
	Connections int
	// Ramp is the time over which they are opened. Default: as fast as possible.
	Ramp time.Duration
	// Warmup passes before Duration, the measured time, begins. Default 10 s for Duration.
	Warmup, Duration time.Duration
	// InFlight is how many calls each connection of [Echo] has under way, default 1. For
	// [Broadcast] it is the number of broadcasts under way: the next one is asked for when
	// an earlier one has reached all connections. Default for [Broadcast]: 0, see Rate.
	InFlight int
	// Payload is the length of the echoed text, in bytes. Default 32.
	Payload int
	// Rate is how many broadcasts are asked for per second. Default: 0, the server makes
	// broadcasts by itself.
	Rate float64
	// Method of the hub that echoes its argument, default Echo, or that broadcasts,
	// default Broadcast.
	Method string
	// Fire is a URL at which a POST causes a broadcast, instead of Method.
	Fire string
	// GC is a URL at which a POST makes the server collect its garbage. [Idle] posts to it
	// before it reads the memory. Default: none.
	GC string
	// SkipNegotiate connects WebSockets without negotiation.
	SkipNegotiate bool
	// PID is the server's process id, if it runs on this machine: its CPU time and memory
	// are read from /proc. Default: 0, not read.
	PID int
	// Header is added to every request.
	Header http.Header
	// InsecureTLS accepts any certificate.
	InsecureTLS bool
	// Progress is called about once a second. Default: nil, no calls.
	Progress func(Progress)
}

// Progress is the state of a run.
type Progress struct {
	Phase      string // opening, warming up, measuring
	Elapsed    time.Duration
	Open       int     // connections
	Rate       float64 // operations in the last second
	Operations int64
}

func (o Options) withDefaults() Options {
	o.Transport = defaulted(o.Transport, WebSockets)
	o.Protocol = defaulted(o.Protocol, "json")
	o.Connections = defaulted(o.Connections, 100)
	o.Duration = defaulted(o.Duration, 10*time.Second)
	o.Payload = defaulted(o.Payload, 32)
	switch o.Mode {
	case Echo:
		o.InFlight = defaulted(o.InFlight, 1)
		o.Method = defaulted(o.Method, "Echo")
	case Broadcast:
		o.Method = defaulted(o.Method, "Broadcast")
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o
}

func defaulted[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (o Options) validate() (*url.URL, error) {
	target, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("loadgen: %w", err)
	case o.Connections < 0 || o.InFlight < 0 || o.Payload < 0 || o.Rate < 0:
		return nil, errors.New("loadgen: connections, in-flight, payload and rate cannot be negative")
	case target.Scheme != "http" && target.Scheme != "https" || target.Host == "":
		return nil, fmt.Errorf("loadgen: %q is no http or https URL", o.URL)
	case o.Protocol == "messagepack" && o.Transport == ServerSentEvents:
		return nil, errors.New("loadgen: MessagePack needs a transport for bytes; event streams are text")
	case o.SkipNegotiate && o.Transport != WebSockets:
		return nil, errors.New("loadgen: only WebSockets can do without negotiation")
	}
	return target, o.validatePace()
}

func (o Options) validatePace() error {
	if o.Mode == Broadcast && o.Rate > 0 && o.InFlight > 0 {
		return errors.New("loadgen: broadcasts come at a rate or with so many under way, not both")
	}
	return nil
}
