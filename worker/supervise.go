package worker

import (
	"context"
	"time"

	"github.com/carillon-go/carillon/internal/guard"
)

// supervise runs s until its work is done or the host stops. A panic, or a call of
// runtime.Goexit, is a failure.
func (h *Host) supervise(name string, s Service) {
	log := h.options.Logger.With("service", name)
	backoff := h.options.MinBackoff
	for {
		log.Debug("service started")
		began := time.Now()
		err := guard.Call(context.Background(), func() error { return s.Run(h.ctx) })
		if err == nil || h.ctx.Err() != nil {
			log.Debug("service ended")
			return
		}
		if time.Since(began) > h.options.MaxBackoff {
			backoff = h.options.MinBackoff
		}
		args := []any{"error", err, "restart_in_s", backoff.Seconds()}
		if p, ok := err.(*guard.Panic); ok { //nolint:errorlint // Call returns it as it is; a service's own errors are not searched
			args = append(args, "stack", string(p.Stack))
		}
		log.Error("service failed", args...)
		if !h.sleep(backoff) {
			return
		}
		backoff = min(2*backoff, h.options.MaxBackoff)
	}
}

// sleep waits for d. It reports whether the host still runs.
func (h *Host) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.ctx.Done():
		return false
	}
}
