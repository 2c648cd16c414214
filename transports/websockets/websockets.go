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
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// Carry upgrades a request and carries c over the WebSocket until that ends. It
// returns after the handshake: the goroutine that reads on has a small stack and is
// the registry's.
func Carry(run func(f func())) transports.Carry {
	return func(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
		if _, err := c.Claim(transports.WebSockets, r); err != nil {
			transports.Refuse(w, err)
			return
		}
		conn, err := upgrade(w, r, c.Options())
		if err != nil {
			c.Finish(err)
			return
		}
		s := &socket{c: c, conn: conn, options: c.Options(), run: run}
		run(s.serve)
	}
}

// writeBuffers lets the upgrade borrow the buffer that it answers with.
var writeBuffers sync.Pool

var upgrader = websocket.Upgrader{
	CheckOrigin:     func(*http.Request) bool { return true }, // the endpoint has checked it
	WriteBufferPool: &writeBuffers,
	Error:           func(w http.ResponseWriter, _ *http.Request, status int, _ error) { transports.Empty(w, status) },
}

func upgrade(w http.ResponseWriter, r *http.Request, o *transports.Options) (net.Conn, error) {
	header := http.Header{}
	if offered := websocket.Subprotocols(r); o.SubprotocolSelector != nil && len(offered) > 0 {
		if chosen := o.SubprotocolSelector(offered); chosen != "" {
			header.Set("Sec-WebSocket-Protocol", chosen)
		}
	}
	upgraded, err := upgrader.Upgrade(w, r, header)
	if err != nil {
		return nil, err
	}
	return upgraded.NetConn(), nil
}

// socket is one WebSocket. One goroutine reads; one writes while the connection's
// queue holds something.
type socket struct {
	c       *transports.Connection
	conn    net.Conn
	options *transports.Options
	run     func(f func())
	decoder decoder

	mu       sync.Mutex // held while writing
	closed   bool       // our close frame is out
	deadline time.Time  // of writes
}

// readBytes is how much is read at once. It is what an idle connection holds.
const readBytes = 1024

func (s *socket) serve() {
	cause := transports.ErrCut
	defer func() {
		if p := recover(); p != nil { // of a raw application; a hub catches its own
			s.options.Logger.Error("the application panicked", "connection", s.c.ID(), "panic", p)
			s.c.Abort(transports.ErrApplication)
		}
		s.c.Detach(s, cause)
		_ = s.conn.Close()
	}()
	if s.c.Open() != nil {
		cause = transports.ErrApplication
	}
	if _, err := s.c.Attach(s); err != nil {
		return
	}
	cause = s.read()
}

// read reads until the WebSocket ends and returns why it did.
func (s *socket) read() error {
	var buf [readBytes]byte
	for {
		n, err := s.conn.Read(buf[:])
		if n > 0 {
			if err := s.decoder.decode(buf[:n], s); err != nil {
				return s.bye(err)
			}
		}
		if err != nil {
			return transports.ErrCut
		}
	}
}

// bye ends the WebSocket after a close frame or a violation.
func (s *socket) bye(err error) error {
	var v violation
	if errors.As(err, &v) {
		s.control(opClose, []byte{byte(v >> 8), byte(v)})
		if tcp, ok := s.conn.(interface{ SetLinger(sec int) error }); ok {
			_ = tcp.SetLinger(0) // a reset, as the original's
		}
		return transports.ErrClientGone
	}
	s.control(opClose, []byte{closeNormal >> 8, closeNormal & 0xff})
	return transports.ErrClientGone
}

// data implements handler.
func (s *socket) data(payload []byte) {
	// It fails when the connection is closing: what still comes is not for anyone.
	_ = s.c.Receive(payload)
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
func (s *socket) Wake() { s.run(s.drain) }

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
				s.c.Detach(s, transports.ErrCut)
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
	s.control(opClose, []byte{closeNormal >> 8, closeNormal & 0xff})
}
