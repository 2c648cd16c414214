package endpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/httpstop"
)

// At holds endpoints by their paths. A path is a pattern of http.ServeMux without a method,
// such as "/chat", "chat.example.com/" or "/t/{tenant}/chat".
type At map[string]*Endpoint

// Mounted are the endpoints of a mux. It is safe for concurrent use.
type Mounted struct {
	at      At
	servers sync.Map // of *http.Server: their shutdown begins the end of the endpoints
}

// Mount mounts endpoints on mux, each at its path and at all paths below it. It panics if mux
// refuses a path, if a path has a method, and if a path ends in the name of a part that its endpoint serves, such as
// negotiate. It must be called once for each endpoint.
//
// http.Server.Shutdown of a server that has served one of the endpoints begins their end, but
// it does not wait for it: call [Mounted.Shutdown] first. Raw connections continue until then.
func Mount(mux *http.ServeMux, at At) *Mounted {
	m := &Mounted{at: at}
	for path, e := range at {
		if strings.ContainsAny(path, " \t") {
			panic(fmt.Sprintf("endpoint: the path %q has a method or a space", path))
		}
		own := strings.TrimSuffix(path, "/")
		if last := own[strings.LastIndexByte(own, '/')+1:]; e.part(last) != nil {
			panic(fmt.Sprintf("endpoint: the path %q ends in the name of a part of the endpoint", path))
		}
		h := m.follow(e)
		mux.Handle(own+"/", h)
		if own+"/" != path || strings.Contains(own, "/") { // otherwise the root, of a host or of all
			mux.Handle(own, h)
		}
	}
	return m
}

// follow returns the handler of e. It makes the end of a server begin that of the endpoints.
func (m *Mounted) follow(e *Endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
			if _, known := m.servers.LoadOrStore(server, nil); !known {
				server.RegisterOnShutdown(m.begin)
			}
		}
		e.ServeHTTP(w, r)
	})
}

// begin refuses new clients and asks all clients of hubs to reconnect elsewhere. It does not
// wait for them.
func (m *Mounted) begin() {
	for _, e := range m.at {
		_ = e.DrainOver(context.Background(), 0) // fails only with its context
	}
}

// Shutdown closes all endpoints. First all of them refuse new clients. Then, at the same time,
// each of them closes as [Endpoint.Shutdown] says: the methods that run and OnDisconnected
// return, then the connections end. It returns the errors of all, each with its path. The
// HTTP server, which carries all of this, has to be shut down later.
func (m *Mounted) Shutdown(ctx context.Context) error {
	for _, e := range m.at {
		e.Drain()
	}
	var (
		wait sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for path, e := range m.at {
		wait.Go(func() {
			if err := e.Shutdown(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s: %w", path, err))
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// shutdownTimeout is the time limit of the end in Serve.
const shutdownTimeout = 10 * time.Second

// ListenAndServe listens at server.Addr and calls Serve. For a line in the log that the server
// listens, and for its address if the system chooses the port, call net.Listen and Serve.
func (m *Mounted) ListenAndServe(ctx context.Context, server *http.Server) error {
	port := ":http"
	if server.TLSConfig != nil {
		port = ":https"
	}
	listener, err := net.Listen("tcp", cmp.Or(server.Addr, port))
	if err != nil {
		return errors.Join(err, m.Shutdown(ctx))
	}
	return m.Serve(ctx, listener, server)
}

// Serve serves the connections of listener until ctx ends. Then it closes listener and shuts down
// the endpoints and the server, within 10 s. It serves TLS if server.TLSConfig is set, which
// must contain the certificate. It returns nil after an orderly end. server.Handler must be the
// mux, or lead to it.
func (m *Mounted) Serve(ctx context.Context, listener net.Listener, server *http.Server) error {
	defer func() { _ = listener.Close() }() // the server leaves it open if the certificate is missing
	var failed error
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		failed = serve(listener, server)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := errors.Join(m.Shutdown(ctx), httpstop.Shutdown(ctx, server))
	if err != nil {
		err = errors.Join(err, server.Close()) // cuts the requests that still run
	}
	<-stopped
	return errors.Join(failed, err)
}

// serve returns nil after the shutdown of server.
func serve(listener net.Listener, server *http.Server) (err error) {
	if server.TLSConfig != nil {
		err = server.ServeTLS(listener, "", "")
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
