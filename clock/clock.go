// Package clock is the sample hub: the contract that server, worker and client share,
// and its two sides.
package clock

import (
	"context"
	"time"
)

// Clock is the interface that every client of the clock hub implements. The names on the
// wire are the names of the methods.
type Clock interface {
	// ShowTime sends the client the current time.
	ShowTime(ctx context.Context, now time.Time) error
}

// Names on the wire.
const (
	showTime          = "ShowTime"
	sendTimeToClients = "SendTimeToClients"
)
