// Package contract is the contract of the cookbook's market.
package contract

import (
	"context"
	"iter"
)

//go:generate go tool -modfile=../../../tools/gen.mod carillon-gen -hub MarketHub -client Market -ts ../web/markethub.ts

// MarketHub has the methods that clients may invoke.
type MarketHub interface {
	// Watch shows the caller each new price of a share.
	Watch(ctx context.Context, share string) error
	// Unwatch ends Watch.
	Unwatch(ctx context.Context, share string) error
	// Prices streams the price of a share at short intervals.
	Prices(ctx context.Context, share string) (iter.Seq2[Price, error], error)
	// Import sets prices and returns their number.
	Import(ctx context.Context, prices iter.Seq2[Price, error]) (int, error)
	// Buy buys shares after the caller has confirmed the price.
	Buy(ctx context.Context, share string, number int) error
	// Halt ends the trade of a share. Only brokers may do that.
	Halt(ctx context.Context, share string) error
}

// Market has the methods that every client implements.
type Market interface {
	// Changed shows a new price.
	Changed(ctx context.Context, p Price) error
	// Bought shows a purchase of the user.
	Bought(ctx context.Context, share string, number int) error
	// Confirm asks the user.
	Confirm(ctx context.Context, question string) (bool, error)
}

// Price is the price of a share.
type Price struct {
	Share string `json:"share"`
	Cents int    `json:"cents"`
}
