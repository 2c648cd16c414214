// Package httpstop ends HTTP servers.
package httpstop

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// interval is the interval at which Shutdown looks for new network connections.
const interval = time.Second

// Shutdown is s.Shutdown, which it calls repeatedly: one call misses a network connection of
// HTTP/2 if its handshake of TLS ends after the call has begun.
func Shutdown(ctx context.Context, s *http.Server) error {
	for {
		some, cancel := context.WithTimeout(ctx, interval)
		err := s.Shutdown(some)
		cancel()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}
