// Package reentry makes HTTP/1.1 requests wait outside of their HTTP server, where a waiting
// request would hold a goroutine, buffers and a stack. After the answer it reads the next
// request on the same network connection. A request like the one before is served by the
// server's handler with a response writer of this package. Any other request goes back to the
// server, together with the connection.
package reentry

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

// Conns holds network connections outside of their HTTP servers. It implements
// connection.Outside. Safe for concurrent use.
type Conns struct {
	poller *poller.Poller

	mu      sync.Mutex
	servers map[*http.Server]*server
	over    bool
}

// server is an HTTP server with connections in Conns.
type server struct {
	*http.Server
	conns   *Conns
	ctx     context.Context // context of its requests
	closing atomic.Bool     // each connection closes after its next answer

	open map[*Conn]struct{} // conns.mu guards it
}

// New returns an empty Conns. p reads its connections.
func New(p *poller.Poller) *Conns {
	return &Conns{poller: p, servers: map[*http.Server]*server{}}
}

// of returns the server of a request, or nil if its connections must stay in the HTTP server.
// That is the case if each connection has a context of its own.
func (o *Conns) of(r *http.Request) *server {
	h, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	if h == nil || h.ConnContext != nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.servers[h]
	if s == nil {
		s = &server{Server: h, conns: o, open: map[*Conn]struct{}{}}
		s.ctx = s.baseContext(r)
		s.closing.Store(o.over)
		o.servers[h] = s
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

// Announce implements connection.Outside. Each connection closes after its next answer, which
// says so.
func (o *Conns) Announce() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
	for _, s := range o.servers {
		s.closing.Store(true)
	}
}

// CloseIdle implements connection.Outside.
func (o *Conns) CloseIdle() { o.each((*Conn).closeIdle) }

// Cut implements connection.Outside.
func (o *Conns) Cut() { o.each(func(one *Conn) { _ = one.conn.Close() }) }

func (o *Conns) each(f func(*Conn)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.servers {
		for one := range s.open {
			f(one)
		}
	}
}

// shut is called when an HTTP server shuts down. It closes the connections without a waiting
// request. The others close after their answer.
func (s *server) shut() {
	s.closing.Store(true)
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	for c := range s.open {
		c.closeIdle()
	}
}

// add adds a connection to the server's connections. r was the last request on it.
func (s *server) add(conn net.Conn, early []byte, r *http.Request) *Conn {
	if p, ok := conn.(*prefixed); ok && len(p.prefix) == 0 {
		conn = p.Conn
	}
	c := &Conn{server: s, host: r.Host, path: strings.Clone(pathOf(r)), busy: true}
	c.conn.Init(s.conns.poller, conn, early)
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	s.open[c] = struct{}{}
	return c
}

func (s *server) forget(c *Conn) {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	delete(s.open, c)
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
