package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/carillon-go/carillon/internal/upstream"
)

// Upstream adds the metrics of the hub's backend. It must be called once. The result receives the
// requests; stats is called later.
func (h *Hub) Upstream(stats func() upstream.Stats) upstream.Meter {
	requests := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "carillon_upstream_request_duration_seconds",
		Help:    "The duration of requests to the backend, with the wait for their turn, by event and result.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}, []string{"event", "result"})
	h.registry.MustRegister(requests)
	h.gauge("carillon_upstream_requests", "Requests to the backend that run.", func() float64 { return float64(stats().InFlight) })
	h.gauge("carillon_upstream_waiting", "Requests to the backend that wait for their turn.", func() float64 { return float64(stats().Waiting) })
	h.gauge("carillon_upstream_queued", "Disconnected events that wait, or run.", func() float64 { return float64(stats().Queued) })
	return requested{requests}
}

type requested struct{ durations *prometheus.HistogramVec }

// Requested implements upstream.Meter.
func (r requested) Requested(event, result string, after time.Duration) {
	r.durations.WithLabelValues(event, result).Observe(after.Seconds())
}
