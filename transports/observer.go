package transports

import (
	"net/http"
	"time"
)

// Observer receives events that show how a connection gets through the network between client
// and server. Observe is called concurrently. It must return at once and must not call back.
type Observer interface {
	Observe(e Event)
}

// Event is one such event.
type Event struct {
	Kind EventKind
	// Transport is the transport concerned. It is empty for Unclaimed.
	Transport Type
	// Request is the request that arrived, for Stripped and Opened.
	Request *http.Request
	// Silence is the time without any data before a Cut.
	Silence time.Duration
}

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds of events.
const (
	// Stripped: a WebSocket handshake arrived without its Upgrade.
	Stripped EventKind = iota
	// Opened: a request opened the connection.
	Opened
	// Unclaimed: no request arrived for the connection within the disconnect time-out.
	Unclaimed
	// Held: the client sent nothing after its transport had opened: within the hold time-out
	// of an event stream, or until the end of a WebSocket.
	Held
	// Mute: the client posted a handshake for an event stream, and nothing more within the
	// hold time-out. A client that pings after reading the handshake response has not read
	// it.
	Mute
	// Proved: the client sent data that it sends only after receiving data from the server.
	Proved
	// Cut: the client or the network cut the transport.
	Cut
	// Unseen: a stripped handshake was answered with an event stream, and the client waited
	// for more of the answer.
	Unseen
	// Ended: an opened connection has ended. No more events follow.
	Ended
	// Moved: another process opens the connection. No more events follow.
	Moved
)

// A Guide is an Observer that adapts the server to the client's network.
type Guide interface {
	Observer
	// Probes reports whether the server should answer r, a WebSocket handshake without its
	// Upgrade, like an event stream.
	Probes(r *http.Request) bool
	// Refuses reports whether the transport cannot work in the client's network, so that the
	// client should try its next one at once.
	Refuses(Type) bool
}
