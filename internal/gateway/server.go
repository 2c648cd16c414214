// Package gateway puts the program together: configuration, hub, worker, page and
// HTTP server, and the order in which they end. It is the only place that knows
// the web framework.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/link"
	"github.com/carillon-go/carillon/internal/metrics"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/worker"
)

// A request's head must come within headerTimeout, and within restTimeout of the answer what
// is left of its body, as with the original's server; an idle connection is kept for
// idleTimeout. Other bodies and answers have no limit here: an event stream has no end.
const (
	headerTimeout = 10 * time.Second
	restTimeout   = 5 * time.Second
	idleTimeout   = 2 * time.Minute
)

// A request's head has 32 KiB at most, as with the original's server. net/http reads 4 KiB
// more than maxHeaderBytes. It does not count the lines: a head of very short ones takes
// some 640 KiB of memory while it is read.
const maxHeaderBytes = 28 << 10

// maxStreams is the number of requests that a connection of HTTP/2 serves at a time, as
// with the original's server.
const maxStreams = 100

// A connection of HTTP/2 on which nothing was read for pingAfter is sent a ping, and is closed
// when that is not answered within pingTimeout. This also ends a client that begins a block
// of headers and does not finish it, for which net/http has no time-out.
const (
	pingAfter   = 15 * time.Second
	pingTimeout = 30 * time.Second
)

// pollTimeout is below what proxies wait for an answer: HAProxy 30 s in its examples,
// nginx, Apache and Varnish 60 s as they come.
const pollTimeout = 25 * time.Second

// Server is the gateway. It is used once: New, then Run or Serve.
type Server struct {
	config  Config
	log     *slog.Logger
	clocks  hub.Context[clock.Clock]
	hub     *endpoint.Endpoint
	entry   http.Handler       // the hub, behind who may enter
	endKeys context.CancelFunc // ends what keeps the keys of tokens fresh
	proxies []netip.Prefix
	workers *worker.Host
	metrics *metrics.Metrics // nil: nobody looks
	http    *http.Server
	ready   atomic.Bool
	hosts   hosts // of the listener; set before it serves
}

// New returns a server with the settings of c, which must be valid.
func New(c Config, log *slog.Logger) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	options, err := c.endpoint(log)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, log: log, workers: worker.NewHost(worker.Options{Logger: log})}
	s.makeHub(options)
	if s.proxies, err = c.trustedProxies(); err != nil {
		return nil, err
	}
	s.http = newHTTPServer(log)
	if err := s.loadCertificate(); err != nil {
		return nil, err
	}
	if err := s.guard(); err != nil {
		return nil, err
	}
	routes, err := s.routes()
	s.http.Handler = s.behindProxies(routes)
	return s, err
}

// newHTTPServer returns an HTTP server without a handler that bounds what a stranger can make
// it keep.
func newHTTPServer(log *slog.Logger) *http.Server {
	return &http.Server{
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// makeHub makes the hub and what it is seen through.
func (s *Server) makeHub(o endpoint.Options) {
	clocks := hub.New(hub.Options{Name: "ClockHub", Logger: s.log})
	s.clocks = clock.Register(clocks)
	if s.config.MetricsAddr == "" {
		s.hub = endpoint.New(clocks, o)
		return
	}
	s.metrics = metrics.New()
	o.Meter = s.metrics
	s.hub = endpoint.New(clocks, o)
	s.metrics.Watch(s.hub, clocks)
}

// endpoint returns the options of the hub's endpoint.
func (c *Config) endpoint(log *slog.Logger) (endpoint.Options, error) {
	offered, err := c.transports()
	if err != nil {
		return endpoint.Options{}, err
	}
	policy, err := c.policy()
	if err != nil {
		return endpoint.Options{}, err
	}
	return c.authenticated(endpoint.Options{
		Transports: offered,
		Policy:     policy,
		Events:     endpoint.Events{Enabled: true, History: 1000},
		Options: transports.Options{
			Logger: log, PollTimeout: pollTimeout, AllowedOrigins: c.CORSOrigin,
			Limits: transports.Limits{Connections: c.MaxConnections, ConnectionsPerAddress: c.MaxPerAddress, ConnectionsPerUser: c.MaxPerUser},
		},
	})
}

func (s *Server) loadCertificate() error {
	if !s.config.usesTLS() {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(s.config.TLSCert, s.config.TLSKey)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return nil
}

// Run listens on the configured address and serves until ctx is cancelled. Connections whose
// link is gone end, also those that the HTTP server keeps, as those of HTTP/2.
func (s *Server) Run(ctx context.Context) error {
	listener, err := listen(ctx, s.config.Addr)
	if err != nil {
		return err
	}
	return s.Serve(ctx, link.Listener(listener, transports.Options{}.WithDefaults().UnacknowledgedTimeout()))
}

// listen fails for what is wrong with the address only: an end that is asked for before the
// start is an orderly one. Its error says "listen" and the address.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(context.WithoutCancel(ctx), "tcp", addr)
}

// Serve serves on l, which it closes, until ctx is cancelled or l fails; then it
// shuts everything down and waits for it. An orderly end is nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	stopMetrics, err := s.serveMetrics(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer stopMetrics()
	if err := s.startWorkers(); err != nil {
		return errors.Join(err, l.Close())
	}
	s.hosts = s.config.newHosts(l.Addr())
	served := make(chan error, 1)
	go func() { served <- s.serveHTTP(s.behindProxyProtocol(l)) }()
	s.ready.Store(true)
	s.log.Info("listening", "addr", l.Addr().String(), "hub", s.config.Path, "tls", s.config.usesTLS(), "tokens", s.config.usesJWT())

	select {
	case <-ctx.Done():
		err := s.shutdown()
		return errors.Join(err, <-served)
	case err := <-served:
		return errors.Join(err, s.shutdown())
	}
}

func (s *Server) serveHTTP(l net.Listener) error {
	serve := s.http.Serve
	if s.config.usesTLS() {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *Server) startWorkers() error {
	if s.config.Interval < 0 {
		return nil
	}
	return s.workers.Start("clock", worker.Clock{Clocks: s.clocks, Interval: s.config.Interval})
}
