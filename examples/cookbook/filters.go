package cookbook

import (
	"context"
	"log/slog"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// timing logs the duration of each invocation.
func timing(log *slog.Logger) hub.Filter {
	return hub.Filter{Invoke: func(ctx context.Context, inv *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
		began := time.Now()
		result, err := next(ctx)
		log.InfoContext(ctx, "invocation", "method", inv.Method, "user", hub.CallerFrom(ctx).UserID(),
			"trace", inv.Headers["traceparent"], "duration_s", time.Since(began).Seconds(), "error", err)
		return result, err
	}}
}
