package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/carillon-go/carillon/internal/appserver"
)

// Servers adds the metrics of the hub's application servers. It must be called once. stats is called
// later.
func (h *Hub) Servers(stats func() appserver.Stats) {
	gauge := func(name, help string, of func(appserver.Stats) int) {
		h.gauge("carillon_appserver_"+name, help, func() float64 { return float64(of(stats())) })
	}
	gauge("servers", "Application servers of the hub.", func(s appserver.Stats) int { return s.Servers })
	gauge("connections", "Connections of application servers.", func(s appserver.Stats) int { return s.Links })
	gauge("clients", "Clients that an application server has.", func(s appserver.Stats) int { return s.Clients })
	gauge("waiting_clients", "Clients that wait for an application server to move to.", func(s appserver.Stats) int { return s.Homeless })
	gauge("queued_bytes", "Bytes that wait for application servers.", func(s appserver.Stats) int { return s.QueuedBytes })
	counter := func(name, help string, of func(appserver.Stats) uint64) {
		h.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "carillon_appserver_" + name, Help: help},
			func() float64 { return float64(of(stats())) }))
	}
	counter("acks_total", "Acknowledgements that application servers got.", func(s appserver.Stats) uint64 { return s.Acks })
	counter("moves_total", "Clients that moved to another application server.", func(s appserver.Stats) uint64 { return s.Moves })
}
