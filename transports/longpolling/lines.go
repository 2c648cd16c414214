package longpolling

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/carillon-go/carillon/transports/internal/socket"
)

// lines are the network connections on which polls wait outside of their HTTP servers.
type lines struct {
	running *sync.WaitGroup

	mu      sync.Mutex
	servers map[*http.Server]*server
	over    bool
}

// server is an HTTP server whose connections are here.
type server struct {
	*http.Server
	lines   *lines
	ctx     context.Context // of its requests
	closing atomic.Bool     // no answer is followed by another request

	open map[*line]struct{} // lines.mu guards it
}

func newLines(running *sync.WaitGroup) *lines {
	return &lines{running: running, servers: map[*http.Server]*server{}}
}

// of returns the server of a request; nil: its connections have to stay there, as where
// each has a context of its own.
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

// baseContext is the one of all requests, without what middleware put into r's.
func (s *server) baseContext(r *http.Request) context.Context {
	ctx := context.Background()
	if s.BaseContext != nil {
		addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		ctx = s.BaseContext(&single{addr: addr, accepted: true})
	}
	return context.WithValue(ctx, http.ServerContextKey, s.Server)
}

// Announce implements transports.Outside: each connection ends behind its next answer, which
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

// shut is called when an HTTP server shuts down: its connections on which no poll waits are
// closed, the others behind their answer.
func (s *server) shut() {
	s.closing.Store(true)
	s.lines.mu.Lock()
	defer s.lines.mu.Unlock()
	for l := range s.open {
		l.closeIdle()
	}
}

// add makes a connection one of the server's lines, on which r came last.
func (s *server) add(conn net.Conn, early []byte, r *http.Request) *line {
	if p, ok := conn.(*prefixed); ok && len(p.prefix) == 0 {
		conn = p.Conn
	}
	l := &line{server: s, host: r.Host, path: strings.Clone(pathOf(r)), busy: true}
	l.conn.Init(conn, early)
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

// serve lets the HTTP server go on with a connection, of which prefix was read already.
func (s *server) serve(conn *socket.Conn, prefix []byte) {
	one := &single{conn: &prefixed{conn.Conn, prefix}, addr: conn.LocalAddr()}
	_ = s.Serve(one)
	if !one.accepted { // it shuts down
		_ = conn.Close()
	}
}

// single is a listener of one connection.
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

// prefixed is a connection of which something was read already.
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
