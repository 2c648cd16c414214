package cookbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"

	"github.com/carillon-go/carillon/examples/cookbook/contract"
)

// trader implements contract.Market: it is a client of the market.
type trader struct {
	log    *slog.Logger
	market contract.MarketHub
	bought int
}

// Changed is called by the hub.
func (t *trader) Changed(_ context.Context, p contract.Price) error {
	t.log.Info("new price", "share", p.Share, "cents", p.Cents)
	return nil
}

// Bought is called by the hub.
func (t *trader) Bought(_ context.Context, _ string, number int) error {
	t.bought += number
	return nil
}

// Confirm answers the hub.
func (t *trader) Confirm(context.Context, string) (bool, error) { return true, nil }

// connect returns a connection that lasts until the end of its Run, whether the server is
// there yet or not.
func (t *trader) connect(url string, token func(context.Context) (string, error)) *client.HubConnection {
	conn := client.New(url, client.Options{
		AccessToken: token,
		Reconnect:   client.ReconnectForever(time.Second, 30*time.Second),
	})
	t.market = contract.NewMarketHubClient(conn)
	contract.ReceiveMarket(conn, t)
	conn.OnConnected(func(ctx context.Context) error {
		return t.market.Watch(ctx, "ACME") // a new connection is in no group
	})
	return conn
}

// during calls work when conn is connected, and ends conn when it has returned.
func during(ctx context.Context, conn *client.HubConnection, work func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- conn.Run(ctx) }()
	err := conn.WaitConnected(ctx) // as long as the server is not there
	if err == nil {
		err = work(ctx)
	}
	stop()
	return errors.Join(err, <-ended)
}

// buyTraced is buy as a part of a trace.
func (t *trader) buyTraced(ctx context.Context, parent, share string, number int) error {
	ctx = client.WithHeaders(ctx, map[string]string{"traceparent": parent})
	return t.buy(ctx, share, number)
}

// above returns the first price above a limit.
func (t *trader) above(ctx context.Context, share string, limit int) (contract.Price, error) {
	prices, err := t.market.Prices(ctx, share)
	if err != nil {
		return contract.Price{}, err
	}
	for price, err := range prices {
		if err != nil || price.Cents > limit {
			return price, err // leaving the loop cancels the stream at the hub
		}
	}
	return contract.Price{}, errors.New("the stream has ended")
}

// importAll uploads prices. The source of an upload may be any sequence.
func (t *trader) importAll(ctx context.Context, prices []contract.Price) (int, error) {
	return t.market.Import(ctx, hub.FromSeq(slices.Values(prices)))
}

// buy returns the hub's own words if the hub refuses.
func (t *trader) buy(ctx context.Context, share string, number int) error {
	err := t.market.Buy(ctx, share, number)
	if refused := new(client.HubError); errors.As(err, &refused) {
		if text, ok := refused.Text(); ok {
			return fmt.Errorf("the market refuses: %s", text)
		}
	}
	return err
}
