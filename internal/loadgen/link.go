package loadgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

// carrier moves records over one transport.
type carrier interface {
	// connect opens the connection that query names.
	connect(ctx context.Context, t *target, query string) error
	// send sends records that frame has framed. It may be called while step waits.
	send(framed []byte) error
	// step reads some data and passes it on. more reports whether the next step would
	// not wait.
	step(feed func([]byte) error) (more bool, err error)
	// leave ends the connection on the server, for transports whose end the server would
	// not notice.
	leave() error
	setDeadline(t time.Time)
	io.Closer
}

// link is one connection to the hub. One goroutine opens it and then reads it.
type link struct {
	carrier
	g               *generator
	shard           *shard
	handshake, ping []byte // framed for the transport

	ready   bool   // the handshake was answered
	quiet   bool   // received messages are not counted
	pending []byte // an incomplete record
	scratch scratch
	sent    []time.Duration // when the call of each slot was sent
	out     []byte          // calls to be sent once everything is read
	closed  atomic.Bool     // by us
	leaving atomic.Bool
}

func (g *generator) newLink(i int) *link {
	l := g.newLinkBy(g.options.Transport, g.meter.shard(i))
	if g.options.Mode == Echo {
		l.sent = make([]time.Duration, g.options.InFlight)
	}
	return l
}

func (g *generator) newLinkBy(t Transport, s *shard) *link {
	return &link{
		carrier: g.newCarrier(t), g: g, shard: s,
		handshake: g.frame(t, g.messages.handshake), ping: g.frame(t, g.messages.ping),
	}
}

func (g *generator) newCarrier(t Transport) carrier {
	switch t {
	case ServerSentEvents:
		return &eventStream{g: g}
	case LongPolling:
		return &longPolling{g: g}
	default:
		return &webSocket{g: g}
	}
}

// open negotiates through side, connects and exchanges the handshake.
func (l *link) open(ctx context.Context, side *sideConn) error {
	t, query := l.g.target, ""
	if !l.g.options.SkipNegotiate {
		var err error
		if t, query, err = side.negotiate(ctx); err != nil {
			return err
		}
	}
	if err := l.connect(ctx, t, query); err != nil {
		return fmt.Errorf("%s: %w", l.g.options.Transport, err)
	}
	if err := l.shakeHands(); err != nil {
		_ = l.Close()
		return fmt.Errorf("%s: handshake: %w", l.g.options.Transport, err)
	}
	return nil
}

func (l *link) shakeHands() error {
	l.setDeadline(time.Now().Add(patience))
	defer l.setDeadline(time.Time{})
	if err := l.send(l.handshake); err != nil {
		return err
	}
	for !l.ready {
		if _, err := l.step(l.feed); err != nil {
			return err
		}
	}
	return nil
}

// run reads until the connection ends.
func (l *link) run() error {
	if l.g.options.Mode == Echo && !l.quiet {
		for slot := range l.sent {
			l.call(slot)
		}
		if err := l.flush(); err != nil {
			return err
		}
	}
	for {
		more, err := l.step(l.feed)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if err := l.flush(); err != nil {
			return err
		}
	}
}

func (l *link) flush() error {
	if len(l.out) == 0 {
		return nil
	}
	err := l.send(l.out)
	l.out = l.out[:0]
	return err
}

// call queues the call of a slot.
func (l *link) call(slot int) {
	l.sent[slot] = l.g.now()
	l.out = append(l.out, l.g.calls[slot]...)
}

// close ends the link. Its end then does not count as a lost connection.
func (l *link) close() {
	if l.closed.CompareAndSwap(false, true) {
		_ = l.Close()
	}
}

// feed splits received data into records. A record is rarely split between two reads.
func (l *link) feed(p []byte) error {
	whole := p
	if len(l.pending) > 0 {
		l.pending = append(l.pending, p...)
		whole = l.pending
	}
	rest, err := l.records(whole)
	if err != nil {
		return err
	}
	l.pending = append(l.pending[:0], rest...)
	l.g.countBytes(l.shard, len(p))
	return nil
}

func (l *link) records(buf []byte) (rest []byte, err error) {
	if !l.ready {
		if buf, err = l.handshakeAnswer(buf); err != nil || !l.ready {
			return buf, err
		}
	}
	for {
		record, rest, err := l.g.messages.next(buf)
		if err != nil || record == nil {
			return rest, err
		}
		if err := l.received(record); err != nil {
			return nil, err
		}
		buf = rest
	}
}

func (l *link) handshakeAnswer(buf []byte) (rest []byte, err error) {
	record, rest, err := protocol.NextHandshake(buf, 0, readBuffer)
	if err != nil || record == nil {
		return buf, err
	}
	refusal, err := protocol.ParseHandshakeResponse(record)
	if err == nil && refusal != "" {
		err = errors.New(refusal)
	}
	l.ready = err == nil
	return rest, err
}

func (l *link) received(record []byte) error {
	k, slot, err := l.g.messages.classify(record, &l.scratch)
	switch {
	case l.quiet && k != failure && k != closing:
		return nil
	case k == failure:
		l.g.meter.fail(&l.g.meter.errors, err)
		return nil
	case err != nil:
		return err
	case k == invocation && l.g.options.Mode == Broadcast:
		l.g.delivered(l.shard, record)
	case k == completion && 0 <= slot && slot < len(l.sent):
		l.g.count(l.shard, l.g.now()-l.sent[slot], 0)
		l.call(slot)
	}
	return nil
}

// postPool holds HTTP connections for the POSTs of event streams.
type postPool struct {
	mu   sync.Mutex
	idle map[string][]*httpConn // by address
	all  map[*httpConn]struct{}
	over bool
}

func (p *postPool) get(ctx context.Context, t *target) (*httpConn, error) {
	p.mu.Lock()
	if idle := p.idle[t.address]; len(idle) > 0 {
		c := idle[len(idle)-1]
		p.idle[t.address] = idle[:len(idle)-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	c, err := t.dialHTTP(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	if p.all == nil {
		p.all, p.idle = make(map[*httpConn]struct{}), make(map[string][]*httpConn)
	}
	p.all[c] = struct{}{}
	return c, nil
}

// put returns a connection to the pool, or closes it if it cannot be used again.
func (p *postPool) put(c *httpConn, usable bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if usable && !c.last && !p.over {
		p.idle[c.address] = append(p.idle[c.address], c)
		return
	}
	delete(p.all, c)
	_ = c.Close()
}

func (p *postPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for c := range p.all {
		_ = c.Close()
	}
}
