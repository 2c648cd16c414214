package cluster

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"syscall"
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
	redialTime       = time.Second           // from the failure of a node to the next dial
	refusedTime      = 10 * time.Millisecond // the same if its host refuses dials, which costs little
	maxStreams       = 1000                  // requests on one network connection
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
	tcp         *net.Dialer
	streams     *tls.Config   // for questions
	hello       []byte        // first question of a stream
	handshake   time.Duration // limit of that of TLS
	askTimeout  time.Duration
	closing     context.Context // ends all dials
	running     *sync.WaitGroup
}

func newDialer(n *Node, c *credentials, timeout time.Duration) (*dialer, error) {
	tcp, handshake := &net.Dialer{Timeout: timeout}, max(timeout, handshakeTimeout)
	transport := func(set func(*http.Protocols, bool)) *http.Transport {
		protocols := new(http.Protocols)
		set(protocols, true)
		return &http.Transport{
			DialContext:         tcp.DialContext,
			TLSHandshakeTimeout: handshake,
			TLSClientConfig:     c.config(),
			Protocols:           protocols,
			DisableCompression:  true,
			HTTP2: &http.HTTP2Config{
				SendPingTimeout: pingInterval, PingTimeout: pingTimeout, WriteByteTimeout: pingInterval + pingTimeout,
				MaxReceiveBufferPerStream: maxStreamBytes,
			},
		}
	}
	config := c.config()
	config.NextProtos = []string{streamProtocol}
	config.DynamicRecordSizingDisabled = true // one write of the kernel for all frames
	hello, err := json.Marshal(n.hello())
	return &dialer{
		transport((*http.Protocols).SetHTTP2), transport((*http.Protocols).SetHTTP1),
		tcp, config, hello, handshake, n.askTimeout, n.closing, &n.running,
	}, err
}

// stream makes a network connection for questions, and says hello.
func (d *dialer) stream(address string) (*asker, error) {
	plain, err := d.tcp.DialContext(d.closing, "tcp", address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(d.closing, d.handshake)
	defer cancel()
	conn := tls.Client(plain, d.streams)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = plain.Close()
		return nil, err
	}
	a := newAsker(conn, d)
	d.running.Go(a.read)
	d.running.Go(a.write)
	if a.pid, err = a.sayHello(d.closing); err != nil {
		a.close()
	}
	return a, err
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
// connection are closed and forgotten.
func (p *peers) to(address string) *peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.all[address]
	if found == nil {
		if len(p.all) >= maxPeers {
			p.forgetLocked()
		}
		found = &peer{address: address, dialer: p.dialer, surveys: make(chan struct{}, maxSurveysToPeer), closed: p.closed}
		p.all[address] = found
	}
	return found
}

func (p *peers) forgetLocked() {
	for address, peer := range p.all {
		if peer.closeUnused() {
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
	surveys chan struct{} // holds a value for each survey that waits for its answer

	mu      sync.Mutex
	conns   []*http.ClientConn
	dialing *dialing  // of one more; nil: none runs
	asker   *asker    // nil: none yet
	opening *dialing  // of asker; nil: none runs
	redial  time.Time // no dial before
	closed  bool
}

// dialing is a dial that has not ended yet.
type dialing struct {
	done chan struct{} // closed at the end
	err  error         // valid after done
}

// closeUnused closes the peer if it has no network connection, and makes none. It reports whether
// it has.
func (p *peer) closeUnused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) > 0 || p.dialing != nil || p.opening != nil || p.asker != nil && !p.asker.isBroken() {
		return false
	}
	p.closed = true
	return true
}

func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.closeLocked()
}

func (p *peer) closeLocked() {
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
	if p.asker != nil {
		p.asker.close()
	}
}

// ask asks the process with a pid, or any process if it has none.
func (p *peer) ask(ctx context.Context, of pid, path string, message []byte) ([]byte, error) {
	a, err := awaitDial(ctx, p.open)
	if err != nil {
		return nil, err
	}
	if of != (pid{}) && of != a.pid {
		return nil, errGone
	}
	return a.ask(ctx, path, message)
}

// do sends a request over HTTP/2. It is never sent again: it may have been delivered.
func (p *peer) do(r *http.Request) (*http.Response, error) {
	conn, err := awaitDial(r.Context(), p.free)
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
		p.failed(r.Context(), err)
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

// failed delays the next dial, unless the caller has given up. It gives up the stream if nothing
// has come on it for as long as a question may take.
func (p *peer) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delayLocked(err)
	if p.asker != nil && p.asker.silence() >= p.dialer.askTimeout {
		p.asker.close()
	}
}

// delayLocked delays the next dial.
func (p *peer) delayLocked(err error) {
	wait := redialTime
	if errors.Is(err, syscall.ECONNREFUSED) {
		wait = refusedTime
	}
	p.redial = time.Now().Add(wait)
}

// awaitDial returns the result of get, after the dials that get names. If the node has just failed,
// it waits for the next dial, because the node may have been busy, or it may have started since.
func awaitDial[T any](ctx context.Context, get func() (T, *dialing, error)) (found T, err error) {
	for {
		found, dialing, err := get()
		if dialing == nil || err != nil {
			return found, err
		}
		select {
		case <-dialing.done:
			if dialing.err != nil {
				return found, dialing.err
			}
		case <-ctx.Done():
			return found, ctx.Err()
		}
	}
}

// open returns the stream, or the dial that makes one.
func (p *peer) open() (*asker, *dialing, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.asker != nil && !p.asker.isBroken():
		return p.asker, nil, nil
	case p.closed:
		return nil, nil, http.ErrServerClosed
	}
	return nil, p.dialLocked(&p.opening, func() (keepLocked func(), err error) {
		a, err := p.dialer.stream(p.address)
		return func() { p.asker = a }, err
	}), nil
}

// free returns a network connection with room for a request, or the dial that makes one.
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
	switch {
	case found != nil:
		return found, nil, nil
	case p.closed:
		return nil, nil, http.ErrServerClosed
	case len(p.conns) >= maxConnsPerPeer:
		return nil, nil, errFull
	}
	return nil, p.dialLocked(&p.dialing, func() (keepLocked func(), err error) {
		conn, err := p.dialer.multiplexed.NewClientConn(p.dialer.closing, "https", p.address)
		return func() { p.conns = append(p.conns, conn) }, err
	}), nil
}

// dialLocked returns the dial that running names, and begins it if none runs. All that need a
// network connection wait for the same one.
func (p *peer) dialLocked(running **dialing, connect func() (keepLocked func(), err error)) *dialing {
	if *running != nil {
		return *running
	}
	begun := &dialing{done: make(chan struct{})}
	*running = begun
	p.dialer.running.Go(func() {
		var keepLocked func()
		err := p.awaitRedial(p.dialer.closing)
		if err == nil {
			keepLocked, err = connect()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		begun.err = err
		close(begun.done)
		*running = nil
		if err != nil {
			p.delayLocked(err)
			return
		}
		if keepLocked(); p.closed {
			p.closeLocked()
		}
	})
	return begun
}
