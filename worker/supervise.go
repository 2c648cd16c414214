package worker

import (
	"fmt"
	"runtime/debug"
	"time"
)

// panicError is what a service panicked with.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// supervise runs s until its work is done or the host stops.
func (h *Host) supervise(name string, s Service) {
	log := h.options.Logger.With("service", name)
	backoff := h.options.MinBackoff
	for {
		log.Debug("service started")
		began := time.Now()
		err := h.run(s)
		if err == nil || h.ctx.Err() != nil {
			log.Debug("service ended")
			return
		}
		if time.Since(began) > h.options.MaxBackoff {
			backoff = h.options.MinBackoff
		}
		args := []any{"error", err, "restart_in", backoff}
		if p, ok := err.(*panicError); ok { //nolint:errorlint // run returns it as it is; a service's own errors are not searched
			args = append(args, "stack", string(p.stack))
		}
		log.Error("service failed", args...)
		if !h.sleep(backoff) {
			return
		}
		backoff = min(2*backoff, h.options.MaxBackoff)
	}
}

// run turns a panic of s into an error.
func (h *Host) run(s Service) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return s.Run(h.ctx)
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
