package hubtest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// patience limits the waits of cleanup functions.
const patience = time.Minute

// HTTPClient returns a client with the only server handler, which it reaches in memory at
// any URL with the scheme http. With it a client.HubConnection reaches a whole
// application: its authentication, its mux and its endpoints. The server ends with the
// test; the handler must not run any longer then, and its hubs and endpoints must be shut
// down.
func HTTPClient(t testing.TB, handler http.Handler) *http.Client {
	t.Helper()
	l := &listener{accepted: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: handler}
	transport := &http.Transport{DialContext: l.dial}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l) // fails at Shutdown
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		transport.CloseIdleConnections()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("hubtest: a request has not ended: %v", err)
			_ = server.Close()
		}
		<-served
	})
	return &http.Client{Transport: transport}
}

// listener accepts the connections that dial makes.
type listener struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

var errClosed = errors.New("hubtest: the server has ended")

func (l *listener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.accepted <- far:
		return near, nil
	case <-l.closed:
		return nil, errClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, errClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns a loopback address, as of a client on the same machine.
func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
