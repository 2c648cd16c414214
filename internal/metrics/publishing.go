package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Publishing adds the metrics of the interface for publishing. It must be called once. The result
// receives the answers.
func (m *Metrics) Publishing() (answered func(operation string, status int)) {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "carillon_publish_requests_total",
		Help: "Requests to the interface for publishing, by operation and status.",
	}, []string{"operation", "status"})
	m.registry.MustRegister(requests)
	return func(operation string, status int) { requests.WithLabelValues(operation, strconv.Itoa(status)).Inc() }
}
