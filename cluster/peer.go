package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the link. A node that is only busy stays within those of time, because a request for
// a connection that exists must not be answered with 404.
const (
	dialTimeout      = 3 * time.Second // of TCP, which the kernel answers. A lost packet is sent again after 1 s
	handshakeTimeout = 10 * time.Second
	headerTimeout    = 10 * time.Second // of TLS as well
	askTimeout       = 10 * time.Second
	pingInterval     = 5 * time.Second
	pingTimeout      = 10 * time.Second
	redialTime       = time.Second // from the failure of a node to the next dial
	maxStreams       = 1000        // requests on one network connection
	maxStreamBytes   = 1 << 18
	maxConnsPerPeer  = 64
	maxPeers         = 1024
)

var (
	errBroken = errors.New("cluster: no answer on the network connection")
	errGone   = errors.New("cluster: another process has the address of the node")
	errFull   = errors.New("cluster: the node has too many requests of this node")
)

// dialer makes network connections to other nodes.
type dialer struct {
	multiplexed *http.Transport // HTTP/2
	single      *http.Transport // HTTP/1.1: WebSockets and long bodies
	closing     context.Context // ends all dials
	running     *sync.WaitGroup
}

func newDialer(closing context.Context, c *credentials, timeout time.Duration, running *sync.WaitGroup) *dialer {
	transport := func(set func(*http.Protocols, bool)) *http.Transport {
		protocols := new(http.Protocols)
		set(protocols, true)
		return &http.Transport{
			DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
			TLSHandshakeTimeout: max(timeout, handshakeTimeout),
			TLSClientConfig:     c.config(),
			Protocols:           protocols,
			DisableCompression:  true,
			HTTP2: &http.HTTP2Config{
				SendPingTimeout: pingInterval, PingTimeout: pingTimeout, WriteByteTimeout: pingInterval + pingTimeout,
				MaxReceiveBufferPerStream: maxStreamBytes,
			},
		}
	}
	return &dialer{transport((*http.Protocols).SetHTTP2), transport((*http.Protocols).SetHTTP1), closing, running}
}

// peers are the nodes that this process has talked to, by address. It is safe for concurrent
// use.
type peers struct {
	dialer *dialer
	mu     sync.Mutex
	all    map[string]*peer
	closed bool
}

// to returns the peer at an address. If there are too many, those without a network
// connection are forgotten.
func (p *peers) to(address string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.all[address]
	if found == nil {
		if len(p.all) >= maxPeers {
			p.forgetLocked()
		}
		found = &peer{address: address, dialer: p.dialer, closed: p.closed}
		p.all[address] = found
	}
	return found
}

func (p *peers) forgetLocked() {
	for address, peer := range p.all {
		if !peer.isConnected() {
			delete(p.all, address)
		}
	}
}

// close ends all network connections.
func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, peer := range p.all {
		peer.close()
	}
}

// peer is a node at an address. Which process runs there is not its concern: each request
// names the process that it is for. It is safe for concurrent use.
type peer struct {
	address string
	dialer  *dialer

	mu      sync.Mutex
	conns   []*http.ClientConn
	dialing *dialing  // nil: none runs
	redial  time.Time // no dial before
	closed  bool
}

// dialing is a dial that has not ended yet.
type dialing struct {
	done chan struct{} // closed at the end
	err  error         // valid after done
}

func (p *peer) isConnected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns) > 0 || p.dialing != nil
}

func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// do sends a request over HTTP/2. It is never sent again: it may have been delivered.
func (p *peer) do(r *http.Request) (*http.Response, error) {
	conn, err := p.reserve(r.Context())
	if err != nil {
		return nil, err
	}
	response, err := conn.RoundTrip(r)
	if err != nil {
		err = fmt.Errorf("%w: %w", errBroken, err)
	}
	return check(response, err)
}

// check turns an answer that is not the link's into an error.
func check(response *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK, http.StatusSwitchingProtocols:
		return response, nil
	case http.StatusMisdirectedRequest:
		err = errGone
	default:
		err = fmt.Errorf("cluster: the node answers %s", response.Status)
	}
	_ = response.Body.Close()
	return nil, err
}

// doAlone sends a request over HTTP/1.1, on a network connection of its own, which ends with
// the answer's body.
func (p *peer) doAlone(r *http.Request) (*http.Response, error) {
	if err := p.awaitRedial(r.Context()); err != nil {
		return nil, err
	}
	conn, err := p.dialer.single.NewClientConn(r.Context(), "https", p.address)
	if err != nil {
		p.failed(r.Context())
		return nil, err
	}
	response, err := check(conn.RoundTrip(r))
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	response.Body = closing(response.Body, conn)
	return response, nil
}

// closing returns a body that closes the network connection in its Close.
func closing(body io.ReadCloser, conn io.Closer) io.ReadCloser {
	if both, ok := body.(io.ReadWriteCloser); ok {
		return closingBoth{both, conn}
	}
	return closingBody{body, conn}
}

type closingBody struct {
	io.ReadCloser
	conn io.Closer
}

func (c closingBody) Close() error { return errors.Join(c.ReadCloser.Close(), c.conn.Close()) }

type closingBoth struct {
	io.ReadWriteCloser
	conn io.Closer
}

func (c closingBoth) Close() error { return errors.Join(c.ReadWriteCloser.Close(), c.conn.Close()) }

// awaitRedial waits until the node may be dialled.
func (p *peer) awaitRedial(ctx context.Context) error {
	p.mu.Lock()
	wait := time.Until(p.redial)
	p.mu.Unlock()
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failed delays the next dial, unless the caller has given up.
func (p *peer) failed(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.redial = time.Now().Add(redialTime)
}

// reserve returns a network connection with room for a request. If the node has just failed, it
// waits for the next dial, because the node may have been busy, or it may have started since.
func (p *peer) reserve(ctx context.Context) (*http.ClientConn, error) {
	for {
		conn, dialing, err := p.free()
		if conn != nil || err != nil {
			return conn, err
		}
		select {
		case <-dialing.done:
			if dialing.err != nil {
				return nil, dialing.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// free returns a network connection with room, or the dial that makes one.
func (p *peer) free() (*http.ClientConn, *dialing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	usable := p.conns[:0]
	var found *http.ClientConn
	for _, c := range p.conns {
		if c.Err() != nil {
			continue
		}
		usable = append(usable, c)
		if found == nil && c.Reserve() == nil {
			found = c
		}
	}
	clear(p.conns[len(usable):])
	p.conns = usable
	if found != nil {
		return found, nil, nil
	}
	if p.closed {
		return nil, nil, http.ErrServerClosed
	}
	if len(p.conns) >= maxConnsPerPeer {
		return nil, nil, errFull
	}
	if p.dialing == nil {
		p.dialing = &dialing{done: make(chan struct{})}
		p.dialer.running.Go(p.dial)
	}
	return nil, p.dialing, nil
}

// dial makes a network connection for all that wait for one.
func (p *peer) dial() {
	var conn *http.ClientConn
	err := p.awaitRedial(p.dialer.closing)
	if err == nil {
		conn, err = p.dialer.multiplexed.NewClientConn(p.dialer.closing, "https", p.address)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialing.err = err
	close(p.dialing.done)
	p.dialing = nil
	switch {
	case err != nil:
		p.redial = time.Now().Add(redialTime)
	case p.closed:
		_ = conn.Close()
	default:
		p.conns = append(p.conns, conn)
	}
}
