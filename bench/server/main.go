// Command server is the bench server: a hub at /bench that load generators drive,
// over all three transports, and a control port.
//
//	hub, 127.0.0.1:9000     /bench with Echo(string) string and Broadcast()
//	control, 127.0.0.1:9001 POST /fire broadcasts once, POST /gc collects garbage,
//	                        /debug/pprof/ the profiles
//
// A broadcast invokes ShowTime on every client, with the time of its making as a
// string that has exactly seven digits of a second.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof" // on the control port, which serves http.DefaultServeMux
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9000", "address of the hub")
	control := flag.String("control", "127.0.0.1:9001", "address of the control port")
	interval := flag.Duration("interval", 0, "broadcast by itself at this interval (0: on demand only)")
	redisURL := flag.String("redis", "", "URL of the Redis server that joins several servers (empty: none)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *control, *redisURL, *interval); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, control, redisURL string, interval time.Duration) error {
	h, leave, err := newHub(redisURL)
	if err != nil {
		return err
	}
	defer leave()
	e := endpoint.New(h, endpoint.Options{Options: transports.Options{Limits: transports.Unlimited()}})
	mux := http.NewServeMux()
	mux.Handle("/bench", e)
	mux.Handle("/bench/", e)
	http.HandleFunc("POST /fire", func(w http.ResponseWriter, r *http.Request) {
		if err := broadcast(r.Context(), h); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	http.HandleFunc("POST /gc", func(http.ResponseWriter, *http.Request) { debug.FreeOSMemory() })
	failed := make(chan error, 2)
	// The hub listens first: a load generator that finds the control port open connects.
	for _, s := range []*http.Server{{Addr: addr, Handler: mux}, {Addr: control}} {
		l, err := net.Listen("tcp", s.Addr)
		if err != nil {
			return err
		}
		defer s.Close()
		go func() { failed <- s.Serve(l) }()
	}
	err = tick(ctx, h, interval, failed)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return err
}

// tick broadcasts at an interval, if there is one, until ctx ends or a server fails.
func tick(ctx context.Context, h *hub.Hub, interval time.Duration, failed <-chan error) error {
	var due <-chan time.Time
	if interval > 0 {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		due = ticker.C
	}
	for {
		select {
		case <-due:
			if err := broadcast(ctx, h); err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// newHub returns the hub, and a function that is called after its shutdown.
func newHub(redisURL string) (h *hub.Hub, leave func(), err error) {
	// Load generators send no pings, so a client that did once may fall silent.
	o := hub.Options{Name: "bench", ClientTimeout: 10 * time.Minute, MaxInvocationsPerSecond: -1}
	leave, err = join(redisURL, &o)
	if err != nil {
		return nil, nil, err
	}
	h = hub.New(o)
	h.Handle("Echo", hub.Func1(func(_ context.Context, text string) (string, error) { return text, nil }))
	h.Handle("Broadcast", hub.Action0(func(ctx context.Context) error { return broadcast(ctx, h) }))
	if redisURL != "" {
		h.OnConnected(func(ctx context.Context) error {
			id := hub.CallerFrom(ctx).ConnectionID()
			return h.Groups().Add(ctx, id, "of "+id)
		})
	}
	return h, leave, nil
}

// layout has exactly seven digits of a second.
const layout = "2006-01-02T15:04:05.0000000Z"

func broadcast(ctx context.Context, h *hub.Hub) error {
	return h.Clients().All().Send(ctx, "ShowTime", time.Now().UTC().Format(layout))
}
