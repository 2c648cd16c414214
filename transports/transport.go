package transports

import "github.com/carillon-go/carillon/signalr"

// Type is the name of a transport, as in negotiation.
type Type = signalr.Transport

// The transports of SignalR.
const (
	WebSockets       = signalr.WebSockets
	ServerSentEvents = signalr.ServerSentEvents
	LongPolling      = signalr.LongPolling
)
