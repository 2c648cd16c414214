package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
	"github.com/carillon-go/carillon/transports"
)

// timeouts are the options that -timeouts changes. Missing options have their defaults. The
// /lab hubs have their own options.
type timeouts map[string]float64

// String implements flag.Value.
func (t *timeouts) String() string { return "" }

// Set parses NAME=NUMBER,....
func (t *timeouts) Set(s string) error {
	*t = timeouts{}
	for pair := range strings.SplitSeq(s, ",") {
		name, text, _ := strings.Cut(pair, "=")
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not NAME=NUMBER", pair)
		}
		switch name {
		case "keepalive", "client", "handshake", "poll", "disconnect", "maxmessage", "parallel":
			(*t)[name] = n
		default:
			return fmt.Errorf("there is no option %q", name)
		}
	}
	return nil
}

// seconds returns an option as a duration. It returns zero, which selects the default, for a
// missing option.
func (t timeouts) seconds(name string) time.Duration {
	return time.Duration(t[name] * float64(time.Second))
}

func (t timeouts) hub() hub.Options {
	o := hub.Options{
		MaxInvocationsPerSecond: -1, // ASP.NET Core has no such limits
		MaxStreams:              -1,
		KeepAliveInterval:       t.seconds("keepalive"),
		ClientTimeout:           t.seconds("client"),
		HandshakeTimeout:        t.seconds("handshake"),
		MaxParallelInvocations:  int(t["parallel"]),
		DetailedErrors:          true,
		JSON:                    protocol.JSONOptions{AsDeclared: true},
	}
	if most, ok := t["maxmessage"]; ok {
		o.MaxMessageSize = int(most)
		if most == 0 {
			o.MaxMessageSize = -1
		}
	}
	return o
}

func (t timeouts) transports() transports.Options {
	return transports.Options{
		HoldTimeout:       -1, // ASP.NET Core has none of these
		AllowedOrigins:    []string{"*"},
		Limits:            transports.Unlimited(),
		PollTimeout:       t.seconds("poll"),
		DisconnectTimeout: t.seconds("disconnect"),
	}
}
