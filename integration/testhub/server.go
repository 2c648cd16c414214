package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/worker"
)

// drainTimeout is the time within which connections must close before they are cut.
const drainTimeout = 10 * time.Second

// server is the test hub with its listeners.
type server struct {
	site    *site
	workers *worker.Host
	http    *http.Server
}

func newServer(t timeouts, f clusterFlags, redisURL string) (*server, error) {
	node, err := newNode(f)
	if err != nil {
		return nil, err
	}
	planes, err := newPlanes(redisURL)
	if err != nil {
		return nil, err
	}
	site, err := newSite(t, node, planes)
	if err != nil {
		return nil, err
	}
	return &server{
		site:    site,
		workers: worker.NewHost(worker.Options{}),
		http: &http.Server{
			Handler:           site,
			ReadHeaderTimeout: 30 * time.Second,
			// Clients cause errors intentionally; they need no log.
			ErrorLog: log.New(io.Discard, "", 0),
			// The site answers OPTIONS *, like all OPTIONS.
			DisableGeneralOptionsHandler: true,
			// HTTP/1.1 only, as the tests expect, also over TLS.
			TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		},
	}, nil
}

// run listens on the addresses that are not empty, calls ready, and serves until ctx is
// cancelled. Then it shuts everything down in order.
func (s *server) run(ctx context.Context, addr, tlsAddr string, ready func()) error {
	listeners, err := listen(addr, tlsAddr)
	if err != nil {
		return err
	}
	if err := s.workers.Start("clock", worker.Clock{Clocks: s.site.clocks}); err != nil {
		return err
	}
	if err := s.site.node.serve(); err != nil {
		return err
	}
	served := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { served <- s.http.Serve(l) }()
	}
	ready()
	select {
	case <-ctx.Done():
		err = nil
	case err = <-served:
		served <- nil
	}
	err = errors.Join(err, s.shutdown())
	for range listeners {
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
	}
	return err
}

func listen(addr, tlsAddr string) ([]net.Listener, error) {
	var listeners []net.Listener
	if addr != "" {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
	}
	if tlsAddr == "" {
		return listeners, nil
	}
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", tlsAddr, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, err
	}
	return append(listeners, l), nil
}

// shutdown stops the worker, closes every client's connection, and then stops the HTTP servers
// and the node that carry the connections.
func (s *server) shutdown() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	err := errors.Join(s.workers.Stop(ctx), s.site.shutdown(ctx))
	if late := s.http.Shutdown(ctx); late != nil {
		err = errors.Join(err, late, s.http.Close())
	}
	s.site.planes.close()
	return errors.Join(err, s.site.node.stop(ctx))
}
