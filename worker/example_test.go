package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/carillon-go/carillon/worker"
)

// A host runs services until it stops, and starts a service again that fails.
func ExampleHost() {
	host := worker.NewHost(worker.Options{MinBackoff: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	attempts, running := 0, make(chan struct{})
	news := worker.Func(func(ctx context.Context) error {
		attempts++
		if attempts == 1 {
			return errors.New("no news yet")
		}
		close(running)
		<-ctx.Done() // here a service sends to clients, for example by hub.Clients
		return nil
	})
	if err := host.Start("news", news); err != nil {
		panic(err)
	}
	<-running
	fmt.Println(host.Stop(context.Background()), "after", attempts, "attempts")
	// Output: <nil> after 2 attempts
}
