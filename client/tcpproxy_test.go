package client

import (
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// tcpProxy stands between client and server and cuts what passes through it.
type tcpProxy struct {
	listener net.Listener
	target   string
	refuse   atomic.Bool
	refused  atomic.Int32
	work     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func newTCPProxy(t *testing.T, server string) *tcpProxy {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tcpProxy{listener: l, target: u.Host, conns: make(map[net.Conn]struct{})}
	p.work.Go(p.serve)
	t.Cleanup(func() {
		l.Close()
		p.cut()
		p.work.Wait()
	})
	return p
}

// through is the address of server as seen through the proxy.
func (p *tcpProxy) through(server string) string {
	return strings.Replace(server, p.target, p.listener.Addr().String(), 1)
}

func (p *tcpProxy) serve() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.refuse.Load() {
			p.refused.Add(1)
			reset(c)
			continue
		}
		p.work.Go(func() { p.relay(c) })
	}
}

func (p *tcpProxy) relay(down net.Conn) {
	up, err := net.Dial("tcp", p.target)
	if err != nil {
		reset(down)
		return
	}
	p.mu.Lock()
	p.conns[down], p.conns[up] = struct{}{}, struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { pump(down, up) })
	both.Go(func() { pump(up, down) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, down)
	delete(p.conns, up)
}

func pump(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// fail cuts, and lets nobody through until mend: a poll that just was not under way would not notice
// the cut alone.
func (p *tcpProxy) fail() {
	p.refuse.Store(true)
	p.cut()
}

func (p *tcpProxy) mend() { p.refuse.Store(false) }

// cut resets every connection that is there.
func (p *tcpProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		reset(c)
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}
