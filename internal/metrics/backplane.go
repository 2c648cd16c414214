package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carillon-go/carillon/backplane"
)

// WatchBackplane adds the metrics of the hub's backplane. It must be called once.
func (h *Hub) WatchBackplane(b *backplane.Backplane, broker backplane.Broker) {
	h.registry.MustRegister(plane{b, broker})
}

// plane collects the state of a backplane.
type plane struct {
	backplane *backplane.Backplane
	broker    backplane.Broker
}

var (
	planeUp       = prometheus.NewDesc("carillon_backplane_up", "Whether messages to other processes and from them arrive.", nil, nil)
	planeChannels = prometheus.NewDesc("carillon_backplane_channels", "Channels that have members, and those of them that are subscribed.", []string{"state"}, nil)
	planeGaps     = prometheus.NewDesc("carillon_backplane_gaps_total", "Times at which messages of other processes may have been lost.", nil, nil)
	planePayloads = prometheus.NewDesc("carillon_backplane_payloads_total", "Payloads that were published and received, and those of the latter that were dropped.", []string{"event"}, nil)
)

// Describe implements prometheus.Collector.
func (plane) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{planeUp, planeChannels, planeGaps, planePayloads} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (p plane) Collect(to chan<- prometheus.Metric) {
	state, stats := p.broker.State(), p.backplane.Stats()
	up := 1.0
	if state.Degraded {
		up = 0
	}
	to <- prometheus.MustNewConstMetric(planeUp, prometheus.GaugeValue, up)
	to <- prometheus.MustNewConstMetric(planeGaps, prometheus.CounterValue, float64(state.Gaps))
	for name, n := range map[string]int{"wanted": state.Wanted, "subscribed": state.Subscribed} {
		to <- prometheus.MustNewConstMetric(planeChannels, prometheus.GaugeValue, float64(n), name)
	}
	for event, n := range map[string]int64{
		"published": stats.Published, "received": stats.Received,
		"malformed": stats.Malformed, "oversized": stats.Oversized, "overflown": stats.Overflown,
	} {
		to <- prometheus.MustNewConstMetric(planePayloads, prometheus.CounterValue, float64(n), event)
	}
}
