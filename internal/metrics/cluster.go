package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carillon-go/carillon/cluster"
)

// WatchNode adds the metrics of a node of a cluster. It must be called once.
func (m *Metrics) WatchNode(n *cluster.Node) {
	m.registry.MustRegister(members{n})
	for event, count := range map[string]func(cluster.Stats) int{
		"claimed":     func(s cluster.Stats) int { return s.Claimed },
		"handed_over": func(s cluster.Stats) int { return s.HandedOver },
		"forwarded":   func(s cluster.Stats) int { return s.Forwarded },
		"served":      func(s cluster.Stats) int { return s.Served },
		"asked_all":   func(s cluster.Stats) int { return s.Asked },
		"not_asked":   func(s cluster.Stats) int { return s.Unasked },
		"unreachable": func(s cluster.Stats) int { return s.Unreachable },
		"not_ended":   func(s cluster.Stats) int { return s.Unended },
	} {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "carillon_cluster_events_total",
			Help:        "Negotiations and requests that concerned other nodes.",
			ConstLabels: prometheus.Labels{"event": event},
		}, func() float64 { return float64(count(n.Stats())) }))
	}
}

// members collects the state of the other nodes.
type members struct{ node *cluster.Node }

var nodeUp = prometheus.NewDesc("carillon_cluster_node_up", "Whether another node answered at the last check.", []string{"address"}, nil)

// Describe implements prometheus.Collector.
func (members) Describe(to chan<- *prometheus.Desc) { to <- nodeUp }

// Collect implements prometheus.Collector.
func (m members) Collect(to chan<- prometheus.Metric) {
	for _, member := range m.node.Members() {
		up := 0.0
		if member.Up {
			up = 1
		}
		to <- prometheus.MustNewConstMetric(nodeUp, prometheus.GaugeValue, up, member.Address)
	}
}
