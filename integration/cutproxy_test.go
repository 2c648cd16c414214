package integration_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// cutProxy is a TCP proxy that cuts each connection after a random number of bytes, in the middle of whatever they are.
type cutProxy struct {
	listener net.Listener
	target   string
	from, to int64 // bytes that pass before the cut
	armed    atomic.Bool
	cuts     atomic.Int64
	work     sync.WaitGroup

	mu    sync.Mutex
	pairs map[*cutPair]struct{}
}

// newCutProxy starts a proxy that lets everything through until it is armed.
func newCutProxy(t *testing.T, target string, from, to int64) *cutProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cutProxy{listener: l, target: target, from: from, to: to, pairs: map[*cutPair]struct{}{}}
	p.work.Go(p.serve)
	t.Cleanup(func() {
		l.Close()
		for _, pair := range p.all() {
			pair.cut()
		}
		p.work.Wait()
	})
	return p
}

func (p *cutProxy) url() string { return "http://" + p.listener.Addr().String() }

// arm begins to cut, what is connected already as well.
func (p *cutProxy) arm() {
	p.armed.Store(true)
	for _, pair := range p.all() {
		pair.left.Store(p.life())
	}
}

func (p *cutProxy) life() int64 { return p.from + rand.Int64N(p.to-p.from) }

func (p *cutProxy) all() []*cutPair {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*cutPair
	for pair := range p.pairs {
		all = append(all, pair)
	}
	return all
}

func (p *cutProxy) serve() {
	for {
		down, err := p.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.target)
		if err != nil {
			down.Close()
			continue
		}
		pair := &cutPair{down: down, up: up}
		pair.left.Store(1 << 50)
		p.mu.Lock()
		p.pairs[pair] = struct{}{}
		p.mu.Unlock()
		if p.armed.Load() {
			pair.left.Store(p.life())
		}
		p.work.Go(func() { p.relay(pair) })
	}
}

func (p *cutProxy) relay(pair *cutPair) {
	var both sync.WaitGroup
	both.Go(func() { pair.pump(pair.down, pair.up) })
	both.Go(func() { pair.pump(pair.up, pair.down) })
	both.Wait()
	if pair.left.Load() < 0 {
		p.cuts.Add(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, pair)
}

// cutPair is one connection and its continuation.
type cutPair struct {
	down, up net.Conn
	left     atomic.Int64 // bytes that still pass, both ways together
}

func (c *cutPair) pump(from, to net.Conn) {
	defer c.cut()
	buf := make([]byte, 4<<10)
	for {
		n, err := from.Read(buf)
		left := c.left.Add(-int64(n))
		if left < 0 {
			_, _ = to.Write(buf[:max(0, int64(n)+left)])
			return
		}
		if _, failed := to.Write(buf[:n]); failed != nil || err != nil {
			return
		}
	}
}

// cut ends both sides: by a reset as often as in order, as far as TCP knows.
func (c *cutPair) cut() {
	if rand.IntN(2) == 0 {
		for _, conn := range []net.Conn{c.down, c.up} {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
	}
	c.down.Close()
	c.up.Close()
}
