package client

import "context"

// carrier is one connected transport. It carries bytes in both directions, in order.
type carrier interface {
	// Receive passes received bytes to feed until the transport ends. It returns nil if the server
	// or we ended it in order. The bytes are only valid during the call of feed. An error of feed
	// ends Receive, except errClosing: after that a carrier with an orderly end of its own waits
	// for it.
	Receive(feed func([]byte) error) error
	// Send sends one or more complete records to the server. Only one goroutine calls it at a time.
	Send(ctx context.Context, records []byte) error
	// Close tells the server that we end, so that Receive will return. It may wait for the server
	// until ctx ends.
	Close(ctx context.Context)
	// Abort cuts the connection and everything that waits for it. It may be called at any time, and
	// more than once.
	Abort()
}
