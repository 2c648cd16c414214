// Package clock is the sample hub: the contract that server, worker and client share,
// and its two sides. The code around the contract is generated.
package clock

import (
	"context"
	"time"
)

//go:generate go tool -modfile=../tools/gen.mod carillon-gen -hub ClockHub -client Clock -ts ../integration/contract/clockhub.ts

// ClockHub has the methods that clients may invoke.
type ClockHub interface {
	// SendTimeToClients sends a time to every client, including the caller.
	SendTimeToClients(ctx context.Context, now time.Time) error
}

// Clock is the interface that every client of the clock hub implements. The names on the
// wire are the names of the methods.
type Clock interface {
	// ShowTime sends the client the current time.
	ShowTime(ctx context.Context, now time.Time) error
}
