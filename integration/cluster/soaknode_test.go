//go:build linux

package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/backplane/redis"
	"github.com/carillon-go/carillon/cluster"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/integration/soak"
)

// soakCommand is the first argument with which the test binary is a node that has the hub of
// package soak. It ends in order when it gets SIGTERM.
const soakCommand = "soak"

// runSoakNode is the program.
func runSoakNode(args []string) error {
	flags := flag.NewFlagSet(soakCommand, flag.ContinueOnError)
	address := flags.String("addr", "", "")
	link := flags.String("cluster-addr", "", "")
	advertise := flags.String("cluster-advertise", "", "")
	secretFile := flags.String("cluster-secret-file", "", "")
	peers := flags.String("cluster-peers", "", "")
	broker := flags.String("redis", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*secretFile)
	if err != nil {
		return err
	}
	secrets, err := cluster.ParseSecrets(string(text))
	if err != nil {
		return err
	}
	node, err := cluster.New(cluster.Options{Secrets: secrets, Advertise: *advertise, Peers: strings.Split(*peers, ",")})
	if err != nil {
		return err
	}
	clients, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	nodes, err := net.Listen("tcp", *link)
	if err != nil {
		return err
	}
	if *broker == "" {
		return serveSoakNode(node, clients, nodes, nil, http.NotFound)
	}
	b, err := redis.New(redis.Options{URL: *broker})
	if err != nil {
		return err
	}
	defer b.Close()
	var reported atomic.Int64
	plane := backplane.New(b, backplane.Options{Hub: "soak", OnGap: func(context.Context, backplane.Gap) { reported.Add(1) }})
	defer plane.Close()
	return serveSoakNode(node, clients, nodes, plane, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(brokerState{b.State(), int(reported.Load())})
	})
}

// statePath has the state of the broker, as JSON.
const statePath = "/broker"

type brokerState struct {
	backplane.State
	Reported int // gaps that the application was told of
}

func serveSoakNode(node *cluster.Node, clients, nodes net.Listener, plane hub.Backplane, state http.HandlerFunc) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	h, o := soak.NewHub(plane), soak.Options()
	o.HoldTimeout, o.DisconnectTimeout = -1, 10*time.Second // a slow host is no fault
	e := endpoint.New(h.Hub, endpoint.Options{Options: o, Cluster: node.Hub("/")})
	mux := http.NewServeMux()
	mux.Handle("/", soak.Handler(e))
	mux.Handle(statePath, state)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	served := make(chan error, 2)
	go func() { served <- node.Serve(nodes) }()
	go func() { served <- server.Serve(clients) }()
	fmt.Println("listening")
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.Background(), 2*o.DisconnectTimeout) // polls that do not come are awaited
	defer cancel()
	err := errors.Join(e.Shutdown(ending), server.Shutdown(ending), node.Shutdown(ending))
	for range cap(served) {
		if end := <-served; !errors.Is(end, http.ErrServerClosed) {
			err = errors.Join(err, end)
		}
	}
	if came, left := h.Visitors(); came != left {
		err = errors.Join(err, fmt.Errorf("%d clients came, %d left", came, left))
	}
	return err
}
