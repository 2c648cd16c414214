package longpolling

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/carillon-go/carillon/internal/poller"
)

// lines holds the network connections outside of their HTTP servers.
type lines struct {
	poller *poller.Poller

	mu      sync.Mutex
	servers map[*http.Server]*server
	over    bool
}

// server is an HTTP server with connections in lines.
type server struct {
	*http.Server
	lines   *lines
	ctx     context.Context // context of its requests
	closing atomic.Bool     // each connection closes after its next answer

	open map[*line]struct{} // lines.mu guards it
}

func newLines(p *poller.Poller) *lines {
	return &lines{poller: p, servers: map[*http.Server]*server{}}
}

// of returns the server of a request, or nil if its connections must stay in the HTTP server.
// That is the case if each connection has a context of its own.
func (l *lines) of(r *http.Request) *server {
	h, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if h == nil || h.ConnContext != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.servers[h]
	if s == nil {
		s = &server{Server: h, lines: l, open: map[*line]struct{}{}}
		s.ctx = s.baseContext(r)
		s.closing.Store(l.over)
		l.servers[h] = s
		h.RegisterOnShutdown(s.shut)
	}
	return s
}

// baseContext returns the context common to all requests, without the values that middleware
// added to r's.
func (s *server) baseContext(r *http.Request) context.Context {
	ctx := context.Background()
	if s.BaseContext != nil {
		addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		ctx = s.BaseContext(&single{addr: addr, accepted: true})
	}
	return context.WithValue(ctx, http.ServerContextKey, s.Server)
}

// Announce implements transports.Outside. Each connection closes after its next answer, which
// says so.
func (l *lines) Announce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	for _, s := range l.servers {
		s.closing.Store(true)
	}
}

// CloseIdle implements transports.Outside.
func (l *lines) CloseIdle() { l.each((*line).closeIdle) }

// Cut implements transports.Outside.
func (l *lines) Cut() { l.each(func(one *line) { _ = one.conn.Close() }) }

func (l *lines) each(f func(*line)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.servers {
		for one := range s.open {
			f(one)
		}
	}
}

// shut is called when an HTTP server shuts down. It closes the connections without a pending
// poll. The others close after their answer.
func (s *server) shut() {
	s.closing.Store(true)
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	for l := range s.open {
		l.closeIdle()
	}
}

// add adds a connection to the server's lines. r was the last request on it.
func (s *server) add(conn net.Conn, early []byte, r *http.Request) *line {
	if p, ok := conn.(*prefixed); ok && len(p.prefix) == 0 {
		conn = p.Conn
	}
	l := &line{server: s, host: r.Host, path: strings.Clone(pathOf(r)), busy: true}
	l.conn.Init(s.lines.poller, conn, early)
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	s.open[l] = struct{}{}
	return l
}

func (s *server) forget(l *line) {
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	delete(s.open, l)
}

// serve returns a connection to the HTTP server. prefix was already read from it.
func (s *server) serve(conn *poller.Conn, prefix []byte) {
	one := &single{conn: &prefixed{conn.Conn, prefix}, addr: conn.LocalAddr()}
	_ = s.Serve(one)
	if !one.accepted { // the server is shutting down
		_ = conn.Close()
	}
}

// single is a listener that accepts one connection.
type single struct {
	conn     net.Conn
	addr     net.Addr
	accepted bool
}

// Accept implements net.Listener.
func (s *single) Accept() (net.Conn, error) {
	if s.accepted {
		return nil, io.EOF
	}
	s.accepted = true
	return s.conn, nil
}

// Close implements net.Listener.
func (s *single) Close() error { return nil }

// Addr implements net.Listener.
func (s *single) Addr() net.Addr { return s.addr }

// prefixed is a connection with bytes that were read already.
type prefixed struct {
	net.Conn
	prefix []byte
}

// Read implements net.Conn.
func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.prefix) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.prefix)
	if p.prefix = p.prefix[n:]; len(p.prefix) == 0 {
		p.prefix = nil
	}
	return n, nil
}
