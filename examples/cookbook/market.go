// Package cookbook has the code of the recipes in docs/cookbook.md.
package cookbook

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"

	"github.com/carillon-go/carillon/examples/cookbook/contract"
)

// market implements contract.MarketHub. It is safe for concurrent use.
type market struct {
	clients  contract.MarketContext
	interval time.Duration // between two items of Prices

	mu     sync.Mutex
	prices map[string]contract.Price // by share
}

// newMarket registers the methods of a market with h.
func newMarket(h *hub.Hub, interval time.Duration) *market {
	m := &market{clients: contract.NewMarketContext(h), interval: interval, prices: map[string]contract.Price{}}
	contract.RegisterMarketHub(h, m)
	h.Authorize("Halt", auth.Role("broker"), weekday)
	return m
}

// Watch is the recipe for groups.
func (m *market) Watch(ctx context.Context, share string) error {
	if _, err := m.price(share); err != nil {
		return err
	}
	return m.clients.Groups().Add(ctx, hub.CallerFrom(ctx).ConnectionID(), share)
}

// Unwatch leaves the group.
func (m *market) Unwatch(ctx context.Context, share string) error {
	return m.clients.Groups().Remove(ctx, hub.CallerFrom(ctx).ConnectionID(), share)
}

// set sends a new price to the watchers of the share. A client that reads slowly gets only
// the newest price. Any code may call it, such as a worker.
func (m *market) set(ctx context.Context, p contract.Price) error {
	m.mu.Lock()
	m.prices[p.Share] = p
	m.mu.Unlock()
	return m.clients.Clients().Conflate(p.Share).Group(p.Share).Changed(ctx, p)
}

// price is the recipe for errors.
func (m *market) price(share string) (contract.Price, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.prices[share]
	if !ok {
		return p, hub.NewError("no such share: " + share)
	}
	return p, nil
}

// Prices is the recipe for streams.
func (m *market) Prices(ctx context.Context, share string) (iter.Seq2[contract.Price, error], error) {
	if _, err := m.price(share); err != nil {
		return nil, err
	}
	return func(yield func(contract.Price, error) bool) {
		ticker := time.NewTicker(m.interval)
		defer ticker.Stop()
		for yield(m.price(share)) {
			select {
			case <-ticker.C:
			case <-ctx.Done(): // the client has cancelled the stream, or is gone
				return
			}
		}
	}, nil
}

// Import is the recipe for uploads.
func (m *market) Import(ctx context.Context, prices iter.Seq2[contract.Price, error]) (n int, err error) {
	for p, err := range prices {
		if err != nil {
			return n, err // the client broke the upload off
		}
		if err := m.set(ctx, p); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Buy is the recipe for results from clients and for users.
func (m *market) Buy(ctx context.Context, share string, number int) error {
	p, err := m.price(share)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	sure, err := m.clients.Caller(ctx).Confirm(asking, fmt.Sprintf("Buy %d %s for %d cents each?", number, share, p.Cents))
	if errors.Is(err, context.DeadlineExceeded) {
		return hub.NewError("there was no answer")
	}
	if err != nil {
		return err
	}
	if !sure {
		return nil
	}
	user := hub.CallerFrom(ctx).UserID()
	return m.clients.Clients().User(user).Bought(ctx, share, number) // on all devices of the user
}

// Halt is the recipe for the authorization of a method.
func (m *market) Halt(ctx context.Context, share string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.prices, share)
	return nil
}

// weekday is an auth.Policy of the application.
func weekday(context.Context, *auth.User) error {
	if day := time.Now().UTC().Weekday(); day == time.Saturday || day == time.Sunday {
		return errors.New("the market is closed")
	}
	return nil
}
