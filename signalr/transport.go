// Package signalr has the parts of SignalR's contract that clients and servers share: the names of the
// transports, and the answer to a negotiation.
package signalr

// Transport names a transport as negotiation spells it.
type Transport string

// The transports of SignalR.
const (
	WebSockets       Transport = "WebSockets"
	ServerSentEvents Transport = "ServerSentEvents"
	LongPolling      Transport = "LongPolling"
)

// Transports returns all transports, in the order in which servers offer them by default.
func Transports() []Transport { return []Transport{WebSockets, ServerSentEvents, LongPolling} }

// Formats returns the transfer formats that the transport can carry. Callers must not change
// the slice.
func (t Transport) Formats() []string {
	if t == ServerSentEvents {
		return textOnly
	}
	return textAndBinary
}

var (
	textOnly      = []string{"Text"}
	textAndBinary = []string{"Text", "Binary"}
)

// Binary reports whether the transport can carry binary messages.
func (t Transport) Binary() bool { return t != ServerSentEvents }
