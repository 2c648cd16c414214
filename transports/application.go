package transports

import "github.com/carillon-go/carillon/auth"

// Application accepts connections.
type Application interface {
	// Connect is called once for a connection, when its transport opens. An error closes the
	// connection.
	Connect(c Connection) (Receiver, error)
}

// Receiver receives a client's data.
type Receiver interface {
	// Receive is called in order and never concurrently, on the goroutine that reads the
	// connection. data is only valid during the call. Until it returns, no more data is read
	// from that client. An error closes the connection.
	Receive(data []byte) error
	// Disconnected is the last call, and is called once. cause is nil if the client closed
	// the connection in order.
	Disconnected(cause error)
}

// Resumer is implemented by receivers whose connection outlives its WebSocket, event stream,
// or broken polls. Its methods are never called during Receive.
type Resumer interface {
	Receiver
	// Interrupted is called when the carrier breaks or a newer one replaces it. After it has
	// returned, nothing may be sent until Resumed is called: the receiver must keep its
	// messages.
	Interrupted()
	// Resumed is called after Interrupted, when a new carrier is open. Partly received
	// messages and messages that were queued but not written are lost.
	Resumed()
}

// Closer is implemented by receivers that send a final message when the client ends the
// connection while a poll is pending. Close sends that message and closes the connection.
type Closer interface {
	Receiver
	Close(cause error)
}

// Refresher is implemented by receivers that need fresher credentials of their client.
type Refresher interface {
	Receiver
	// Refresh replaces the user by the same one with other credentials. It is called with the
	// connection's lock held, so it must not block or call back.
	Refresh(u *auth.User)
	// Refreshed is called after Refresh, without a lock, if clients may refresh their
	// credentials. It must not block.
	Refreshed()
}
