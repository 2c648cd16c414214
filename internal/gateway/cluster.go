package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/carillon-go/carillon/cluster"
)

// NewClusterSecret returns a new secret for --cluster-secret-file.
func NewClusterSecret() string { return cluster.NewSecret() }

func (c *Config) isClustered() bool { return c.ClusterAddr != "" }

// validateCluster refuses settings of a cluster that are incomplete or contradict each other.
func (c *Config) validateCluster() error {
	if !c.isClustered() {
		if c.ClusterSecretFile != "" || c.ClusterAdvertise != "" || c.ClusterDNS != "" || len(c.ClusterPeers) > 0 {
			return errors.New("--cluster-secret-file, --cluster-advertise, --cluster-peers and --cluster-dns need --cluster-addr")
		}
		return nil
	}
	switch {
	case c.ClusterSecretFile == "":
		return errors.New("--cluster-addr needs --cluster-secret-file; gateway secret makes a secret")
	case len(c.ClusterPeers) == 0 && c.ClusterDNS == "":
		return errors.New("--cluster-addr needs --cluster-peers or --cluster-dns, which name the other nodes")
	case len(c.ClusterPeers) > 0 && c.ClusterDNS != "":
		return errors.New("--cluster-peers and --cluster-dns exclude each other")
	}
	address, err := c.advertise()
	errs := []error{err}
	check := func(setting string, addresses ...string) {
		for _, address := range addresses {
			if err := cluster.CheckAddress(address); address != "" && err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", setting, err))
			}
		}
	}
	check("--cluster-peers", c.ClusterPeers...)
	check("--cluster-dns", c.ClusterDNS)
	check(c.advertiseSetting(), address)
	return errors.Join(errs...)
}

// advertise returns the address at which other nodes reach this one.
func (c *Config) advertise() (string, error) {
	if _, ok := unixPath(c.ClusterAddr); ok {
		return "", errors.New("--cluster-addr: other nodes cannot dial a Unix socket")
	}
	host, port, err := net.SplitHostPort(c.ClusterAddr)
	if err != nil {
		return "", fmt.Errorf("--cluster-addr: %w", err)
	}
	if c.ClusterAdvertise != "" {
		return c.ClusterAdvertise, nil
	}
	ip, _ := netip.ParseAddr(host)
	switch {
	case host == "" || ip.IsUnspecified():
		return "", fmt.Errorf("--cluster-addr: other nodes cannot dial %q; --cluster-advertise has to say at which address they reach this node", c.ClusterAddr)
	case port == "0":
		return "", errors.New("--cluster-addr needs a port that other nodes know")
	}
	return c.ClusterAddr, nil
}

// advertiseSetting returns the flag of the address that advertise returns.
func (c *Config) advertiseSetting() string {
	if c.ClusterAdvertise != "" {
		return "--cluster-advertise"
	}
	return "--cluster-addr"
}

// joinCluster makes the node, if there is a cluster. Each hub is a part of it.
func (s *Server) joinCluster() error {
	c := &s.config
	if !c.isClustered() {
		return nil
	}
	text, err := os.ReadFile(c.ClusterSecretFile)
	if err != nil {
		return fmt.Errorf("--cluster-secret-file: %w", err)
	}
	secrets, err := cluster.ParseSecrets(string(text))
	if err != nil {
		return fmt.Errorf("--cluster-secret-file: %w", err)
	}
	address, err := c.advertise()
	if err != nil {
		return err
	}
	s.node, err = cluster.New(cluster.Options{Secrets: secrets, Advertise: address, Peers: c.ClusterPeers, DNS: c.ClusterDNS, Logger: s.log})
	if err != nil { // the address is too long for tokens
		return fmt.Errorf("%s: %w", c.advertiseSetting(), err)
	}
	if s.metrics != nil {
		s.metrics.WatchNode(s.node)
	}
	return nil
}

// serveCluster serves the other nodes until stop is called, which waits for that.
func (s *Server) serveCluster(ctx context.Context) (stop func(context.Context) error, err error) {
	if s.node == nil {
		return func(context.Context) error { return nil }, nil
	}
	l, err := s.listen(ctx, s.config.ClusterAddr)
	if err != nil {
		return nil, fmt.Errorf("--cluster-addr: %w", err)
	}
	s.log.Info("serving other nodes", "address", l.Addr().String())
	s.linkServed = make(chan error, 1)
	go func() {
		defer close(s.linkServed)
		if err := s.node.Serve(l); err != nil {
			s.linkServed <- fmt.Errorf("--cluster-addr: %w", err)
		}
	}()
	return func(ctx context.Context) error { return errors.Join(s.node.Shutdown(ctx), <-s.linkServed) }, nil
}
