// Package websockets carries connections over WebSockets.
//
// gorilla/websocket answers the handshake. From then on the frames are taken apart
// here, for three reasons: the original answers every valid close frame with 1000
// and a violation with a bare code, where the library echoes the code and adds a
// reason; it refuses text that is no UTF-8, which the library does not look at; and
// an idle connection should hold neither the library's buffers nor the stack of an
// HTTP handler.
package websockets

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// Carry upgrades a request and carries c over the WebSocket until that ends. It
// returns after the handshake: the goroutine that reads on has a small stack and is
// counted in running.
func Carry(running *sync.WaitGroup) transports.Carry {
	return func(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
		if _, err := c.Claim(transports.WebSockets, r); err != nil {
			transports.Refuse(w, err)
			return
		}
		conn, early, err := upgrade(w, r, c.Options())
		if err != nil {
			c.Lost(err)
			return
		}
		s := &socket{c: c, conn: conn, early: early, options: c.Options(), running: running}
		s.writer = func() {
			defer running.Done()
			s.drain()
		}
		running.Go(s.serve)
	}
}

// writeBuffers lets the upgrade borrow the buffer that it answers with.
var writeBuffers sync.Pool

var upgrader = websocket.Upgrader{
	CheckOrigin:     func(*http.Request) bool { return true }, // any origin, as the original; who needs a check puts it in front
	WriteBufferPool: &writeBuffers,
	Error:           func(w http.ResponseWriter, _ *http.Request, status int, _ error) { transports.Empty(w, status) },
}

// upgrade answers the handshake. early is what the client sent behind it without
// waiting for the answer.
func upgrade(w http.ResponseWriter, r *http.Request, o *transports.Options) (conn net.Conn, early []byte, err error) {
	header := w.Header().Clone() // what middleware put there: cookies, CORS
	if offered := websocket.Subprotocols(r); o.SubprotocolSelector != nil && len(offered) > 0 {
		if chosen := o.SubprotocolSelector(offered); chosen != "" {
			header.Set("Sec-WebSocket-Protocol", chosen)
		}
	}
	h := &hijacker{ResponseWriter: w}
	upgraded, err := upgrader.Upgrade(h, r, header)
	if err != nil {
		return nil, nil, err
	}
	return upgraded.NetConn(), h.early, nil
}

// hijacker keeps what came behind the request from the library, which refuses a
// client that does not wait; the original serves it.
type hijacker struct {
	http.ResponseWriter
	early []byte
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if n := rw.Reader.Buffered(); n > 0 {
		h.early = make([]byte, n)
		_, err = io.ReadFull(rw.Reader, h.early) // from the buffer
	}
	return conn, rw, err
}

// socket is one WebSocket. One goroutine reads; one writes while the connection's
// queue holds something.
type socket struct {
	c       *transports.Connection
	conn    net.Conn
	early   []byte // what was read of it already
	options *transports.Options
	running *sync.WaitGroup
	writer  func() // made once: starting it allocates nothing
	decoder decoder

	mu       sync.Mutex // held while writing
	closed   bool       // our close frame is out
	deadline time.Time  // of writes
}

func (s *socket) serve() {
	defer func() { _ = s.conn.Close() }()
	if s.c.Open(s) != nil {
		return
	}
	s.c.Detach(s, s.read())
}

const (
	// idleBytes is what an idle connection holds to read into.
	idleBytes = 512
	// busyBytes is what it borrows while more than that comes.
	busyBytes = 8 << 10
)

var busyBuffers = sync.Pool{New: func() any { return new([busyBytes]byte) }}

// read reads until the WebSocket ends and returns why it did.
func (s *socket) read() error {
	var busy *[busyBytes]byte
	defer func() {
		if busy != nil {
			busyBuffers.Put(busy)
		}
	}()
	idle := make([]byte, idleBytes)
	buf, have := idle, 0
	for {
		n, err := s.fill(buf[have:])
		have += n
		rest, ended := s.decoder.decode(buf[:have], busy != nil && have == busyBytes, s)
		if ended != nil {
			return s.bye(ended)
		}
		if err != nil {
			return s.broken(err)
		}
		switch more := len(rest) > 0 || have == len(buf); {
		case busy == nil && more:
			busy = busyBuffers.Get().(*[busyBytes]byte)
			buf = busy[:]
		case busy != nil && !more:
			busyBuffers.Put(busy)
			busy, buf = nil, idle
		}
		have = copy(buf, rest)
	}
}

func (s *socket) fill(buf []byte) (int, error) {
	if len(s.early) > 0 {
		n := copy(buf, s.early)
		s.early = s.early[n:]
		return n, nil
	}
	return s.conn.Read(buf)
}

// bye ends the WebSocket after a close frame or a violation.
func (s *socket) bye(err error) error {
	var v violation
	switch {
	case errors.As(err, &v):
		s.sendClose(int(v))
		s.reset()
		return v
	case errors.Is(err, errBadClose):
		s.sendClose(closeProtocol)
	default:
		s.sendClose(closeNormal)
	}
	return transports.ErrClientGone
}

func (s *socket) sendClose(code int) { s.control(opClose, []byte{byte(code >> 8), byte(code)}) }

// broken ends the WebSocket after a failed read.
func (s *socket) broken(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) { // the close frame was not answered
		s.reset()
	}
	return transports.ErrCut
}

// reset makes closing the connection a TCP reset, as the original's.
func (s *socket) reset() {
	conn := s.conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
}

// data implements handler.
func (s *socket) data(payload []byte) {
	// It fails when the connection is closing: what still comes is not for anyone.
	_ = s.c.Receive(s, payload)
}

// control implements handler, and sends control frames of our own.
func (s *socket) control(opcode byte, payload []byte) {
	switch opcode {
	case opPing:
		opcode = opPong
	case opPong:
		return
	}
	var b [2 + maxControl]byte
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = opcode == opClose
	_ = s.write(appendControl(b[:0], opcode, payload))
}

// write needs the lock. The deadline is moved only when less than the send time-out
// is left of it, because moving it costs as much as a small write.
func (s *socket) write(b []byte) error {
	now := time.Now()
	if s.deadline.Sub(now) < s.options.SendTimeout {
		s.deadline = now.Add(s.options.SendTimeout + s.options.SendTimeout/2)
		if err := s.conn.SetWriteDeadline(s.deadline); err != nil {
			return err
		}
	}
	_, err := s.conn.Write(b)
	return err
}

// Wake implements transports.Carrier: a writer runs while there is something to send.
func (s *socket) Wake() {
	s.running.Add(1)
	go s.writer()
}

// Cut implements transports.Carrier.
func (s *socket) Cut(error) { _ = s.conn.Close() }

// batch is what a writer needs, kept from one to the next.
type batch struct {
	frames []*frame.Frame
	bytes  []byte
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// copyLimit is up to where frames are gathered into one buffer; a longer one is
// written from the bytes that all its receivers share.
const copyLimit = 16 << 10

func (s *socket) drain() {
	b := batches.Get().(*batch)
	defer batches.Put(b)
	for {
		var outcome transports.Outcome
		b.frames, outcome = s.c.Next(s, b.frames[:0])
		switch outcome {
		case transports.Frames:
			err := s.send(b)
			clear(b.frames)
			if err != nil {
				s.c.Detach(s, transports.WriteCause(err))
				_ = s.conn.Close()
				return
			}
		case transports.Finished:
			s.finish()
			return
		default:
			return
		}
	}
}

// send writes all frames of a batch, in one system call unless they are long.
func (s *socket) send(b *batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	b.bytes = b.bytes[:0]
	for _, f := range b.frames {
		if f.Len() <= copyLimit {
			b.bytes = f.AppendWebSocket(b.bytes)
			continue
		}
		if len(b.bytes) > 0 {
			if err := s.write(b.bytes); err != nil {
				return err
			}
			b.bytes = b.bytes[:0]
		}
		if err := s.write(f.WebSocket()); err != nil {
			return err
		}
	}
	if len(b.bytes) == 0 {
		return nil
	}
	return s.write(b.bytes)
}

// finish sends our close frame. The reader ends when the client has answered it, or
// after the close time-out.
func (s *socket) finish() {
	_ = s.conn.SetReadDeadline(time.Now().Add(s.options.CloseTimeout))
	s.sendClose(closeNormal)
}
