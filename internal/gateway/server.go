// Package gateway assembles the program from configuration, hub, worker, page and HTTP
// server, and shuts them down in order. It is the only package that imports the web
// framework.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/backplane/redis"
	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/cluster"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/appserver"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/link"
	"github.com/carillon-go/carillon/internal/metrics"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/worker"
)

// The timeouts of the HTTP server. A request's head must arrive within headerTimeout, and the
// rest of its body within restTimeout after the answer, as with ASP.NET Core's server. An
// idle connection is kept for idleTimeout. Other bodies and answers have no limit here,
// because an event stream has no end.
const (
	headerTimeout = 10 * time.Second
	restTimeout   = 5 * time.Second
	idleTimeout   = 2 * time.Minute
)

// maxHeaderBytes limits a request's head to 32 KiB, as ASP.NET Core's server does: net/http
// reads 4 KiB more than this value. It does not count the lines: a head of very short lines
// takes some 640 KiB of memory while it is read.
const maxHeaderBytes = 28 << 10

// maxStreams is the number of concurrent requests of an HTTP/2 connection, as with ASP.NET
// Core's server.
const maxStreams = 100

// After pingAfter without received data an HTTP/2 connection is sent a ping. It is closed if
// the answer does not arrive within pingTimeout. This also closes the connection of a client
// that begins a block of headers and does not finish it, for which net/http has no timeout.
const (
	pingAfter   = 15 * time.Second
	pingTimeout = 30 * time.Second
)

// Server is the gateway. Use it once: call New, then Run or Serve.
type Server struct {
	config   Config
	log      *slog.Logger
	gate     *floodgate.Gate          // of lines that clients can provoke
	sites    []*site                  // of the file, or the clock
	byName   map[string]*site         // the same by the upper case of the name
	made     made                     // hubs that the file does not name
	hubs     hosting.Hubs             // all
	byPath   map[string]place         // of hubs, by paths
	below    map[string]place         // by the first segments of paths, in lower case
	clocks   hub.Context[clock.Clock] // of the clock, if it is served
	live     live
	evidence *negotiate.Evidence // which all hubs share
	endKeys  context.CancelFunc  // stops reading keys
	source   Source
	banner   io.Writer // nil: none
	proxies  proxies
	workers  *worker.Host
	metrics  *metrics.Metrics // nil: metrics are disabled
	node     *cluster.Node    // nil: this is the only node
	broker   *redis.Broker    // nil: messages stay in this process

	applications *appserver.Service // nil: no hub has application servers

	stopAPI     func(context.Context) error
	stopCluster func(context.Context) error
	linkServed  chan error // the end of serving other nodes; nil: this is the only node

	metricsAt net.Addr // set before the banner is printed; nil: metrics are disabled
	http      *http.Server
	ready     atomic.Bool
	hosts     hosts // of the listener; set before serving begins

	filesInterval time.Duration                                                // between two looks at the files of the settings
	listen        func(ctx context.Context, addr string) (net.Listener, error) // listen, except in tests
}

// New returns a server with the settings of c, which must be valid.
func New(c Config, log *slog.Logger) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Server{
		config: c, log: log, workers: worker.NewHost(worker.Options{Logger: log}), evidence: negotiate.NewEvidence(negotiate.EvidenceOptions{}),
		filesInterval: filesInterval, listen: listen,
	}
	s.gate = floodgate.New(log)
	s.http = newHTTPServer(s.gate)
	if err := s.assemble(); err != nil {
		s.endKeys()
		s.leaveRedis()
		return nil, err
	}
	return s, nil
}

// assemble makes the parts of the server.
func (s *Server) assemble() error {
	s.byName = map[string]*site{}
	for _, h := range s.config.hubs() {
		st := &site{settings: h}
		s.sites, s.byName[fold.Upper(h.Name)] = append(s.sites, st), st
	}
	if err := s.publishedKeys(); err != nil {
		return err
	}
	state, err := s.config.prepare(s.sites)
	if err != nil {
		return err
	}
	if s.config.MetricsAddr != "" {
		s.metrics = metrics.New()
	}
	if err := errors.Join(s.joinCluster(), s.joinRedis()); err != nil {
		return err
	}
	for _, st := range s.sites {
		if err := s.makeSite(st); err != nil {
			return err
		}
		s.hubs.Add(st.hosted)
	}
	s.made.byName = map[string]*site{}
	s.apply(state)
	if s.config.servesClock() {
		s.clocks = clock.Register(s.sites[0].hosted.Hub)
	}
	if s.config.usesTLS() {
		s.http.TLSConfig = &tls.Config{GetCertificate: s.live.getCertificate, MinVersion: tls.VersionTLS12}
	}
	if s.proxies, err = s.config.trustedProxies(); err != nil {
		return err
	}
	s.applications = s.serveApplications()
	s.byPath, s.below = s.places()
	routes, err := s.routes()
	s.http.Handler = s.behindProxies(routes)
	return err
}

// newHTTPServer returns an HTTP server without a handler. It limits the memory and the
// connections that a client can hold.
func newHTTPServer(gate *floodgate.Gate) *http.Server {
	return &http.Server{
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		ErrorLog:          stdlog.New(errorLog{gate}, "", 0),
	}
}

// Run listens on the configured address and serves until ctx is cancelled. It closes
// connections whose network link is gone, including those that the HTTP server keeps, such as
// HTTP/2 connections.
func (s *Server) Run(ctx context.Context) error {
	listener, err := listen(ctx, s.config.Addr)
	if err != nil {
		s.leaveRedis()
		return fmt.Errorf("--addr: %w", err)
	}
	return s.Serve(ctx, link.Listener(listener, transports.Options{}.WithDefaults().UnacknowledgedTimeout()))
}

// listen listens on addr. It ignores the cancellation of ctx: a shutdown before the start is
// orderly, and not an error of the address. Its error contains "listen" and the address.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	ctx = context.WithoutCancel(ctx)
	if path, ok := unixPath(addr); ok {
		return listenUnix(ctx, path)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", addr)
}

// Serve serves on l until ctx is cancelled, or l or the listener for other nodes fails. Then it
// shuts everything down, waits for it, and closes l. It returns nil after an orderly shutdown.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer s.leaveRedis()
	stopMetrics, err := s.serveMetrics(ctx)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer stopMetrics()
	if s.stopCluster, err = s.serveCluster(ctx); err != nil {
		return errors.Join(err, l.Close())
	}
	if s.stopAPI, err = s.serveAPI(ctx); err != nil {
		return errors.Join(err, l.Close(), s.stopCluster(ctx))
	}
	if err := s.startWorkers(); err != nil {
		return errors.Join(err, l.Close(), s.stopAPI(ctx), s.stopCluster(ctx))
	}
	s.hosts = s.config.newHosts(l.Addr())
	defer s.startFollowing(ctx)()
	served := make(chan error, 1)
	go func() {
		defer close(served)
		served <- serveHTTP(s.http, s.behindProxyProtocol(l))
	}()
	s.ready.Store(true)
	s.logHubs(l.Addr())
	s.printBanner(l.Addr())

	select {
	case <-ctx.Done():
	case err = <-served:
	case err = <-s.linkServed:
	}
	if err != nil {
		s.log.Error("listener failed", "error", err)
	}
	return errors.Join(err, s.shutdown(), <-served)
}

// serveHTTP serves on l, by TLS if the server has a certificate, until the server is shut down.
func serveHTTP(server *http.Server, l net.Listener) error {
	serve := server.Serve
	if server.TLSConfig != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// logHubs logs that the server listens, and with which hubs.
func (s *Server) logHubs(listener net.Addr) {
	if s.config.servesClock() {
		s.log.Info("listening", "address", addressOf(listener), "hub", s.config.Path, "tls", s.config.usesTLS(), "tokens", s.config.usesJWT())
		return
	}
	for _, st := range s.sites {
		s.log.Info("serving hub", "hub", st.settings.Name, "path", st.settings.Path, "clients", s.config.admission(&st.settings), "redirected", st.redirects != nil)
	}
	if reason := s.config.oneNode(); reason != "" {
		s.log.Warn("publishing to one node", "reason", reason)
	}
	s.log.Info("listening", "address", addressOf(listener), "hubs", len(s.sites), "tls", s.config.usesTLS())
}

func (s *Server) startWorkers() error {
	if s.config.Interval <= 0 || !s.config.servesClock() {
		return nil
	}
	return s.workers.Start("clock", worker.Clock{Clocks: s.clocks, Interval: s.config.Interval})
}
