package main

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/carillon-go/carillon/hub"

	"github.com/carillon-go/carillon/examples/dashboard/contract"
)

const maxLatest = 60 // samples that a newcomer gets

// sampler is the worker that measures the process and shows all clients the results.
type sampler struct {
	clients  contract.DashboardContext
	count    func() int // the number of clients
	interval time.Duration

	mu     sync.Mutex
	latest []contract.Sample
}

// newSampler makes h the hub of a dashboard.
func newSampler(h *hub.Hub, count func() int, interval time.Duration) *sampler {
	s := &sampler{clients: contract.NewDashboardContext(h), count: count, interval: interval}
	contract.RegisterDashboardHub(h, s)
	h.OnConnected(s.welcome)
	return s
}

// Run measures at each interval until ctx ends. It is a worker.Service. A client that
// reads too slowly misses samples and keeps its connection.
func (s *sampler) Run(ctx context.Context) error {
	all := s.clients.Clients().Conflate("samples").All()
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		if err := all.Show(ctx, []contract.Sample{s.measure()}); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// measure takes a sample and keeps it for newcomers.
func (s *sampler) measure() contract.Sample {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	sample := contract.Sample{
		At:         time.Now().UTC(),
		Goroutines: runtime.NumGoroutine(),
		HeapMiB:    float64(memory.HeapAlloc) / (1 << 20),
		Clients:    s.count(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest = append(s.latest, sample)
	s.latest = s.latest[max(0, len(s.latest)-maxLatest):]
	return sample
}

// Latest implements contract.DashboardHub.
func (s *sampler) Latest(context.Context) ([]contract.Sample, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.latest), nil
}

// welcome shows a newcomer the latest samples.
func (s *sampler) welcome(ctx context.Context) error {
	latest, err := s.Latest(ctx)
	if err != nil {
		return err
	}
	return s.clients.Clients().Caller(ctx).Show(ctx, latest)
}
