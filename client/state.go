package client

import "context"

// State of a HubConnection.
type State int32

// The states. Only in Connected are calls possible.
const (
	Disconnected State = iota
	Connecting
	Connected
	Reconnecting
	Disconnecting
)

var stateNames = [...]string{"Disconnected", "Connecting", "Connected", "Reconnecting", "Disconnecting"}

// String is the state's name in the official clients.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "Unknown"
	}
	return stateNames[s]
}

// StateChange is one step in the life of a connection. From Reconnecting to Connected means
// reconnected: the id is a new one, groups and everything else that the server kept for the old one
// are gone.
type StateChange struct {
	From, To State
	// ConnectionID is the server's id of the new connection when To is Connected; empty if
	// negotiation was skipped.
	ConnectionID string
	// Transport in use when To is Connected.
	Transport Transport
	// Err is why: the loss that made the connection Reconnecting; the reason of the end when To is
	// Disconnected, nil for an end in order (Stop, or a close message without an error).
	Err error
}

// OnStateChange adds a callback for the connection's states. Callbacks run like handlers: in order
// with them, one at a time; the one for Connected runs before any handler and may call the hub. ctx
// ends when the connection is stopped.
func (c *HubConnection) OnStateChange(f func(ctx context.Context, change StateChange)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.observers = append(c.observers, f)
}

// State of the connection now.
func (c *HubConnection) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// ConnectionID is the id that the server knows the connection by, empty unless connected or if
// negotiation was skipped.
func (c *HubConnection) ConnectionID() string {
	if s := c.session.Load(); s != nil {
		return s.target.id
	}
	return ""
}

// Transport in use, empty unless connected.
func (c *HubConnection) Transport() Transport {
	if s := c.session.Load(); s != nil {
		return s.transport
	}
	return ""
}
