package transports_test

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// patience is the time limit of each wait in a test. No test asserts a duration.
const patience = time.Minute

// server is an application with one carrier.
type server struct {
	t        *testing.T
	kind     transports.Type
	registry *connection.Registry
	http     *httptest.Server
	accepted chan *peer
	// refuse makes Connect fail.
	refuse error
	// gate, if set, blocks each Receive until it can be received from.
	gate chan struct{}
}

// peer is the application's end of a connection.
type peer struct {
	*connection.Connection
	server *server
	mu     sync.Mutex
	got    bytes.Buffer
	calls  int // running Receive calls; more than one is a failure
	news   chan struct{}
	gone   chan error
}

func newServer(t *testing.T, of carrier, o transports.Options) *server {
	t.Helper()
	s := &server{t: t, kind: of.kind, accepted: make(chan *peer, 10_000)}
	s.serve(s, of, o)
	return s
}

// serve serves an application until the test ends.
func (s *server) serve(app transports.Application, of carrier, o transports.Options) {
	o.KeepPollsInServer = of.keepPolls
	s.registry = connection.NewRegistry(app, o)
	s.http = httptest.NewServer(connection.NewHandler(s.registry, map[transports.Type]connection.Carry{s.kind: of.carry(s.registry)}))
	s.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // no client reads any more
		_ = s.registry.Shutdown(ctx)
		s.http.Close()
	})
}

// Connect implements transports.Application.
func (s *server) Connect(c transports.Connection) (transports.Receiver, error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	p := &peer{Connection: c.(*connection.Connection), server: s, news: make(chan struct{}, 1), gone: make(chan error, 1)}
	s.accepted <- p
	return p, nil
}

// Receive implements transports.Receiver.
func (p *peer) Receive(data []byte) error {
	p.mu.Lock()
	p.calls++
	if p.calls > 1 {
		p.server.t.Error("Receive is called while it runs")
	}
	p.got.Write(data)
	p.mu.Unlock()
	select {
	case p.news <- struct{}{}:
	default:
	}
	if p.server.gate != nil {
		select {
		case <-p.server.gate:
		case <-p.Context().Done():
		}
	}
	p.mu.Lock()
	p.calls--
	p.mu.Unlock()
	return nil
}

// Disconnected implements transports.Receiver.
func (p *peer) Disconnected(cause error) {
	p.mu.Lock()
	if p.calls > 0 {
		p.server.t.Error("Disconnected is called while Receive runs")
	}
	p.mu.Unlock()
	p.gone <- cause // a second call would block, and fail the test at its end
}

func (p *peer) send(text string) error { return p.Send(frame.New([]byte(text), false)) }

// await waits until the peer has received exactly want.
func (p *peer) await(want string) {
	p.server.t.Helper()
	deadline := time.After(patience)
	for {
		p.mu.Lock()
		got := p.got.String()
		p.mu.Unlock()
		if got == want {
			return
		}
		select {
		case <-p.news:
		case <-deadline:
			p.server.t.Fatalf("the application got %d bytes, not the %d expected", len(got), len(want))
		}
	}
}

// awaitGone waits for Disconnected and returns its cause.
func (p *peer) awaitGone() error {
	p.server.t.Helper()
	select {
	case cause := <-p.gone:
		return cause
	case <-time.After(patience):
		p.server.t.Fatal("Disconnected was not called")
		return nil
	}
}

func (s *server) accept() *peer {
	s.t.Helper()
	select {
	case p := <-s.accepted:
		return p
	case <-time.After(patience):
		s.t.Fatal("no connection arrived")
		return nil
	}
}

// awaitEmpty waits until the registry has no connections.
func (s *server) awaitEmpty() {
	s.t.Helper()
	for deadline := time.Now().Add(patience); s.registry.Len() > 0; {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d connections are left", s.registry.Len())
		}
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // the registry has no event for it
	}
}

var errRefused = errors.New("not today")
