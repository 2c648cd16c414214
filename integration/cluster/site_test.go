//go:build linux

package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/carillon-go/carillon/cluster"
	"github.com/carillon-go/carillon/internal/testproc"
)

// siteCommand is the first argument with which the test binary is a whole site: nodes of a
// cluster behind a balancer at one address. It ends them when it gets SIGTERM, and they end with
// it. So a client can start and kill a site like a server.
const siteCommand = "site"

// runSite is the program. Its arguments are the address and the command of a node.
func runSite(address string, command ...string) error {
	runtime.LockOSThread() // the nodes end with this thread
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(cluster.NewSecret()), 0o600); err != nil {
		return err
	}
	addresses, links := make([]string, nodeCount), make([]string, nodeCount)
	for i := range nodeCount {
		addresses[i], links[i] = testproc.FreeAddress(), testproc.FreeAddress()
	}
	nodes, outputs := make([]*exec.Cmd, nodeCount), make([]testproc.Output, nodeCount)
	for i, link := range links {
		nodes[i] = exec.Command(command[0], append(command[1:len(command):len(command)], "--addr", addresses[i],
			"--cluster-addr", link, "--cluster-secret-file", secret, "--cluster-peers", strings.Join(links, ","))...)
		nodes[i].SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		nodes[i].Stdout, nodes[i].Stderr = &outputs[i], &outputs[i]
		if err := nodes[i].Start(); err != nil {
			return err
		}
	}
	for i := range outputs {
		for text := ""; !strings.Contains(text, "listening") || strings.Count(text, "node up") < nodeCount-1; text = outputs[i].String() {
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // waits for other processes
		}
	}
	if err := balance(ctx, address, addresses); err != nil {
		return err
	}
	for _, node := range nodes {
		err = errors.Join(err, node.Process.Signal(syscall.SIGTERM))
	}
	for _, node := range nodes {
		err = errors.Join(err, node.Wait())
	}
	return err
}

// balance passes each request to the next node until ctx ends.
func balance(ctx context.Context, address string, to []string) error {
	var next atomic.Int64
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: to[next.Add(1)%nodeCount]})
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 100}, FlushInterval: -1,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(l) }() // ends with the process
	fmt.Println("listening")
	<-ctx.Done()
	return nil
}
