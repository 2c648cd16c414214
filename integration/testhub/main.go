// Testhub is the server for the official functional tests of ASP.NET Core SignalR, the checks
// of the .NET client, and the comparisons with ASP.NET Core. It serves the test hub and the
// hubs for observation, and uses only Carillon's public API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "testhub:", err)
		os.Exit(1)
	}
}

func run() error {
	var times timeouts
	var nodes clusterFlags
	addr := flag.String("addr", "", "address for HTTP, HOST:PORT")
	tlsAddr := flag.String("tls-addr", "", "address for HTTPS with a self-signed certificate, HOST:PORT")
	flag.Var(&times, "timeouts", "NAME=NUMBER,...: keepalive, client, handshake, poll, disconnect in seconds; maxmessage in bytes (0: no limit); parallel")
	flag.StringVar(&nodes.addr, "cluster-addr", "", "address for the other nodes of a cluster, HOST:PORT")
	flag.StringVar(&nodes.advertise, "cluster-advertise", "", "address at which the other nodes reach this one, HOST:PORT; empty: -cluster-addr")
	flag.StringVar(&nodes.secretFile, "cluster-secret-file", "", "file with the secret of the cluster")
	flag.StringVar(&nodes.peers, "cluster-peers", "", "addresses of all nodes, HOST:PORT,...")
	redis := flag.String("redis", "", "URL of the Redis server by which hubs of the same path are joined; empty: they are not")
	flag.Parse()
	if *addr == "" && *tlsAddr == "" {
		return errors.New("-addr or -tls-addr is needed")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	s, err := newServer(times, nodes, *redis)
	if err != nil {
		return err
	}
	return s.run(ctx, *addr, *tlsAddr, func() { fmt.Println("listening") })
}
