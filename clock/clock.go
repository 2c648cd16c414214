// Package clock is the sample hub: its contract, which server, worker and client
// share, and the two sides of it.
package clock

import (
	"context"
	"time"
)

// Clock is what every client of the clock hub implements. The names on the wire
// are the names of the methods.
type Clock interface {
	// ShowTime tells the client what time it is.
	ShowTime(ctx context.Context, now time.Time) error
}

// Names on the wire.
const (
	showTime          = "ShowTime"
	sendTimeToClients = "SendTimeToClients"
)
