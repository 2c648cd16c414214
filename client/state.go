package client

import "context"

// State is the state of a HubConnection.
type State int32

// These are the states. Calls are possible only in Connected.
const (
	Disconnected State = iota
	Connecting
	Connected
	Reconnecting
	Disconnecting
)

var stateNames = [...]string{"Disconnected", "Connecting", "Connected", "Reconnecting", "Disconnecting"}

// String returns the state's name in the official clients.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "Unknown"
	}
	return stateNames[s]
}

// StateChange is one change of a connection's state. A change from Reconnecting to Connected means
// that the connection has a new id. Groups and everything else that the server kept for the old id
// are lost.
type StateChange struct {
	From, To State
	// ConnectionID is the server's id of the new connection when To is Connected; empty if
	// negotiation was skipped.
	ConnectionID string
	// Transport is the transport in use when To is Connected.
	Transport Transport
	// Err is the cause. It is the loss when To is Reconnecting, and the reason of the end when To
	// is Disconnected; nil after an orderly end (Stop, or a close message without an error).
	Err error
}

// OnStateChange adds a callback for state changes. Callbacks run like handlers: in order with them,
// one at a time. The callback for Connected runs before any handler and may call the hub. ctx ends
// when the connection is stopped.
func (c *HubConnection) OnStateChange(f func(ctx context.Context, change StateChange)) {
	add(c, &c.observers, f)
}

// OnConnected adds a callback that runs after Start or Run has connected and after each reconnect.
// There it can enter groups: a new connection is in none. It runs like the callbacks of
// OnStateChange, so it runs before any handler; Start and WaitConnected do not wait for it. Its
// error is logged, and the connection continues.
func (c *HubConnection) OnConnected(f func(ctx context.Context) error) {
	c.OnStateChange(func(ctx context.Context, change StateChange) {
		if change.To != Connected {
			return
		}
		if err := f(ctx); err != nil {
			c.options.Logger.WarnContext(ctx, "callback failed", "callback", "connected", "error", err)
		}
	})
}

// add adds a callback to one of c's lists.
func add[F any](c *HubConnection, list *[]F, f F) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*list = append(*list, f)
}

// WaitConnected waits until the connection is Connected: until Start or Run has connected, or
// connected again. It may be called before Start and Run. It returns the cause of ctx if ctx ends
// first. If the connection ends for good, or has ended and was not started again, the error wraps
// ErrNotConnected, and the cause unless the end was orderly. A call after WaitConnected can still
// fail, because a connection may be lost at any time.
func (c *HubConnection) WaitConnected(ctx context.Context) error {
	for {
		changed, err := c.tryConnected()
		if changed == nil {
			return err
		}
		if err := await(ctx, changed); err != nil {
			return err
		}
	}
}

// tryConnected returns the outcome of WaitConnected, or a channel that the next change of the state
// closes.
func (c *HubConnection) tryConnected() (changed <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The state of a session that has ended changes a moment later.
	if s := c.session.Load(); c.state == Connected && s != nil && s.ctx.Err() == nil {
		return nil, nil
	}
	if c.state == Disconnected && c.ended != nil {
		return nil, c.ended
	}
	return c.changed.Wait(), nil
}

// State returns the current state.
func (c *HubConnection) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// ConnectionID returns the server's id of the connection. It is empty if the connection is not
// Connected or if negotiation was skipped.
func (c *HubConnection) ConnectionID() string {
	if s := c.session.Load(); s != nil {
		return s.target.id
	}
	return ""
}

// Transport returns the transport in use, or "" if the connection is not Connected.
func (c *HubConnection) Transport() Transport {
	if s := c.session.Load(); s != nil {
		return s.transport
	}
	return ""
}
