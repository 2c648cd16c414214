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

// Watch adds the metrics of the hub and of its endpoints, which are added up. It must be called
// once.
func (h *Hub) Watch(members *hub.Hub, endpoints ...*endpoint.Endpoint) {
	sum := func(of func(*endpoint.Endpoint) int) func() float64 {
		return func() (total float64) {
			for _, e := range endpoints {
				total += float64(of(e))
			}
			return total
		}
	}
	h.gauge("carillon_connections", "Connections, including those that are only negotiated.", sum((*endpoint.Endpoint).Connections))
	h.gauge("carillon_queued_bytes", "Bytes queued for sending in all connections.", sum((*endpoint.Endpoint).QueuedBytes))
	h.gauge("carillon_head_bytes", "Bytes that all connections keep of their request heads.", sum((*endpoint.Endpoint).HeadBytes))
	for limit, of := range map[string]func(transports.Refusals) uint64{
		"connections":             func(r transports.Refusals) uint64 { return r.Connections },
		"connections_per_user":    func(r transports.Refusals) uint64 { return r.User },
		"connections_per_address": func(r transports.Refusals) uint64 { return r.Address },
		"negotiations":            func(r transports.Refusals) uint64 { return r.Negotiations },
		"queued_bytes":            func(r transports.Refusals) uint64 { return r.Queue },
		"send_timeout":            func(r transports.Refusals) uint64 { return r.SendTimeouts },
		"heads":                   func(r transports.Refusals) uint64 { return r.Heads },
		"refreshes":               func(r transports.Refusals) uint64 { return r.Refreshes },
	} {
		h.refused(limit, sum(func(e *endpoint.Endpoint) int { return int(of(e.Refusals())) }))
	}
	for limit, of := range map[string]func(hub.Refusals) uint64{
		"handshake_timeout": func(r hub.Refusals) uint64 { return r.Handshakes },
		"message_size":      func(r hub.Refusals) uint64 { return r.Messages },
		"relayed_bytes":     func(r hub.Refusals) uint64 { return r.Bytes },
		"invocations":       func(r hub.Refusals) uint64 { return r.Invocations },
		"streams":           func(r hub.Refusals) uint64 { return r.Streams },
		"client_results":    func(r hub.Refusals) uint64 { return r.Results },
		"slow_consumer":     func(r hub.Refusals) uint64 { return r.SlowConsumers },
	} {
		h.refused(limit, func() float64 { return float64(of(members.Refusals())) })
	}
}

// refused adds a counter of the refusals of one limit.
func (h *Hub) refused(limit string, count func() float64) {
	h.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name:        "carillon_refused_total",
		Help:        "Requests refused and connections closed because of a limit.",
		ConstLabels: prometheus.Labels{"limit": limit},
	}, count))
}

func (h *Hub) gauge(name, help string, value func() float64) {
	h.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Handler returns the handler of scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
