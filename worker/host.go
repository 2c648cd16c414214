package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrStopped is the cause with which Stop cancels the context of the services.
var ErrStopped = errors.New("worker: stopped")

// Options of a Host.
type Options struct {
	// MinBackoff is how long a service that failed waits for its next start. It
	// doubles with each failure. Default 100 ms.
	MinBackoff time.Duration
	// MaxBackoff is the longest such wait. A service that ran for longer than that
	// has recovered: its next failure waits MinBackoff again. Default 30 s.
	MaxBackoff time.Duration
	// Logger logs failures and restarts. Default slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.MinBackoff <= 0 {
		o.MinBackoff = 100 * time.Millisecond
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Host owns the goroutines of services: it starts them, restarts those that fail, stops
// them and waits for their end. It is safe for concurrent use.
type Host struct {
	options Options
	ctx     context.Context
	cancel  context.CancelCauseFunc
	idle    chan struct{} // closed when the host is stopped and no service runs

	mu      sync.Mutex
	running map[string]int // services that have not ended, by name
	stopped bool
}

// NewHost returns a host without services.
func NewHost(o Options) *Host {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Host{
		options: o.withDefaults(),
		ctx:     ctx,
		cancel:  cancel,
		idle:    make(chan struct{}),
		running: map[string]int{},
	}
}

// Start starts a service and supervises it. The log calls it by name. After Stop, Start
// returns ErrStopped.
func (h *Host) Start(name string, s Service) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return ErrStopped
	}
	h.running[name]++
	go func() {
		defer h.ended(name)
		h.supervise(name, s)
	}()
	return nil
}

// Stop cancels the context of every service and waits until all have ended, or until ctx
// ends: then the error names the services that still run. It may be called again to
// continue waiting.
func (h *Host) Stop(ctx context.Context) error {
	h.refuse()
	h.cancel(ErrStopped)
	select {
	case <-h.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("worker: still running: %s: %w", strings.Join(h.names(), ", "), context.Cause(ctx))
	}
}

// refuse prevents services from starting from now on.
func (h *Host) refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stopped {
		return
	}
	h.stopped = true
	h.closeIfIdle()
}

func (h *Host) ended(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[name]--; h.running[name] == 0 {
		delete(h.running, name)
	}
	h.closeIfIdle()
}

// closeIfIdle is called with the lock held, once nothing is added any more or
// after something ended: each can be the last event, never both.
func (h *Host) closeIfIdle() {
	if h.stopped && len(h.running) == 0 {
		close(h.idle)
	}
}

func (h *Host) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.running))
}
