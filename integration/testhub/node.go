package main

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"strings"

	"github.com/carillon-go/carillon/cluster"
	"github.com/carillon-go/carillon/endpoint"
)

// clusterFlags are the settings of a node of a cluster, as the gateway has them.
type clusterFlags struct{ addr, advertise, secretFile, peers string }

// node is the site as a part of a cluster. nil: there is no cluster.
type node struct {
	*cluster.Node
	addr   string
	secret []byte
	served chan error
}

func newNode(f clusterFlags) (*node, error) {
	if f.addr == "" {
		return nil, nil //nolint:nilnil // no cluster
	}
	text, err := os.ReadFile(f.secretFile)
	if err != nil {
		return nil, err
	}
	secrets, err := cluster.ParseSecrets(string(text))
	if err != nil {
		return nil, err
	}
	n, err := cluster.New(cluster.Options{Secrets: secrets, Advertise: cmp.Or(f.advertise, f.addr), Peers: strings.Split(f.peers, ",")})
	return &node{Node: n, addr: f.addr, secret: secrets[0], served: make(chan error, 1)}, err
}

// join makes the endpoint at a path a part of the cluster, if there is one.
func (n *node) join(path string, o *endpoint.Options) {
	if n != nil {
		o.Cluster = n.Hub(path)
	}
}

// serve serves the other nodes until stop is called.
func (n *node) serve() error {
	if n == nil {
		return nil
	}
	l, err := net.Listen("tcp", n.addr)
	if err != nil {
		return err
	}
	go func() { n.served <- n.Serve(l) }()
	return nil
}

// stop follows serve, and waits until it has ended.
func (n *node) stop(ctx context.Context) error {
	if n == nil {
		return nil
	}
	return errors.Join(n.Shutdown(ctx), <-n.served)
}
