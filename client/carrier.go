package client

import "context"

// carrier is one connected transport: bytes both ways, in order.
type carrier interface {
	// Receive passes on what arrives until the transport ends: nil when the server ended it in
	// order, or we did. The bytes are only valid during the call of feed, whose error ends Receive, but
	// for errFarewell, after which a carrier that has an end of its own in order waits for that.
	Receive(feed func([]byte) error) error
	// Send passes one or more whole records to the server. It is called by one goroutine at a time.
	Send(ctx context.Context, records []byte) error
	// Close tells the other side that we end, so that Receive will return; it may wait for the
	// server as long as ctx allows.
	Close(ctx context.Context)
	// Abort cuts the connection and everything that waits on it. It may be called more than once
	// and at any time.
	Abort()
}
