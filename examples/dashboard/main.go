// Dashboard shows live numbers of its own process: a worker measures them, a hub sends
// them, and a page listens to the plain event stream of the hub, without any library.
//
//	curl -N http://localhost:8080/dashboard/events
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/worker"
)

//go:embed web
var files embed.FS

func main() {
	addr := flag.String("addr", "localhost:8080", "address of the server")
	interval := flag.Duration("interval", time.Second, "time between two samples")
	flag.Parse()
	if err := serve(*addr, *interval); err != nil {
		log.Fatal(err)
	}
}

// serve serves the dashboard until the process is asked to end.
func serve(addr string, interval time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	web, err := fs.Sub(files, "web")
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	h := hub.New(hub.Options{Name: "dashboard"})
	mounted := endpoint.New(h, endpoint.Recommended()) // with an event stream
	host := worker.NewHost(worker.Options{})
	if err := host.Start("sampler", newSampler(h, mounted.Connections, interval)); err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(web))
	hubs := endpoint.Mount(mux, endpoint.At{"/dashboard": mounted})
	log.Printf("listening at http://%s", listener.Addr())
	err = hubs.Serve(ctx, listener, &http.Server{Handler: mux})
	deadline, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, host.Stop(deadline))
}
