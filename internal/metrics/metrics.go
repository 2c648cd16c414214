// Package metrics exports the metrics of a hub's endpoint to Prometheus. Connections have the
// names of .NET's meter, so that dashboards for ASP.NET Core SignalR keep working. Refusals
// by limits are counted, too.
//
// It uses Prometheus' own client, which provides histograms, escaping and the metrics of the
// Go runtime in the form that every scraper expects.
package metrics

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// Metrics holds the metrics of the process.
type Metrics struct{ registry *prometheus.Registry }

// Hub holds the metrics of one hub. It implements transports.Meter for the hub's endpoint.
type Hub struct {
	registry prometheus.Registerer
	active   *prometheus.GaugeVec
	duration *prometheus.HistogramVec
}

// New returns metrics of the process. Hub adds those of a hub.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Hub adds the metrics of a hub. They have its name as the label hub, unless the name is empty: then
// the process has no other hub.
func (m *Metrics) Hub(name string) *Hub {
	h := &Hub{
		registry: m.registry,
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "signalr_server_active_connections",
			Help: "Number of connections that are currently active on the server.",
		}, []string{"signalr_transport"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "signalr_server_connection_duration_seconds",
			Help:    "The duration of connections on the server.",
			Buckets: []float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300}, // the buckets of .NET
		}, []string{"signalr_connection_status", "signalr_transport"}),
	}
	if name != "" {
		h.registry = prometheus.WrapRegistererWith(prometheus.Labels{"hub": name}, m.registry)
	}
	h.registry.MustRegister(h.active, h.duration)
	return h
}

// names maps transports to .NET's attributes.
var names = map[transports.Type]string{
	transports.WebSockets:       "web_sockets",
	transports.ServerSentEvents: "server_sent_events",
	transports.LongPolling:      "long_polling",
}

// Opened implements transports.Meter.
func (h *Hub) Opened(kind transports.Type) { h.active.WithLabelValues(names[kind]).Inc() }

// Ended implements transports.Meter.
func (h *Hub) Ended(kind transports.Type, after time.Duration, cause error) {
	h.active.WithLabelValues(names[kind]).Dec()
	h.duration.WithLabelValues(status(cause), names[kind]).Observe(after.Seconds())
}

// status returns .NET's name of an end. Most ends are normal, including cut sockets.
func status(cause error) string {
	switch {
	case errors.Is(cause, transports.ErrTimeout):
		return "timeout"
	case errors.Is(cause, transports.ErrShutdown), errors.Is(cause, hub.ErrShutdown):
		return "app_shutdown"
	default:
		return "normal_closure"
	}
}

// Watch adds the metrics of an endpoint of the hub. It must be called once.
func (h *Hub) Watch(e *endpoint.Endpoint, members *hub.Hub) {
	h.gauge("carillon_connections", "Connections, including those that are only negotiated.", func() float64 { return float64(e.Connections()) })
	h.gauge("carillon_queued_bytes", "Bytes queued for sending in all connections.", func() float64 { return float64(e.QueuedBytes()) })
	h.gauge("carillon_head_bytes", "Bytes that all connections keep of their request heads.", func() float64 { return float64(e.HeadBytes()) })
	for limit, count := range map[string]func() uint64{
		"connections":             func() uint64 { return e.Refusals().Connections },
		"connections_per_user":    func() uint64 { return e.Refusals().User },
		"connections_per_address": func() uint64 { return e.Refusals().Address },
		"negotiations":            func() uint64 { return e.Refusals().Negotiations },
		"queued_bytes":            func() uint64 { return e.Refusals().Queue },
		"send_timeout":            func() uint64 { return e.Refusals().SendTimeouts },
		"heads":                   func() uint64 { return e.Refusals().Heads },
		"refreshes":               func() uint64 { return e.Refusals().Refreshes },
		"handshake_timeout":       func() uint64 { return members.Refusals().Handshakes },
		"message_size":            func() uint64 { return members.Refusals().Messages },
		"invocations":             func() uint64 { return members.Refusals().Invocations },
		"streams":                 func() uint64 { return members.Refusals().Streams },
		"client_results":          func() uint64 { return members.Refusals().Results },
		"slow_consumer":           func() uint64 { return members.Refusals().SlowConsumers },
	} {
		h.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "carillon_refused_total",
			Help:        "Requests refused and connections closed because of a limit.",
			ConstLabels: prometheus.Labels{"limit": limit},
		}, func() float64 { return float64(count()) }))
	}
}

func (h *Hub) gauge(name, help string, value func() float64) {
	h.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Handler returns the handler of scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
