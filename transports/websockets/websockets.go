// Package websockets carries connections over WebSockets.
//
// gorilla/websocket answers the handshake. Then this package parses the frames itself, for
// three reasons. First, ASP.NET Core answers every valid close frame with 1000 and a
// violation with a bare code, while the library echoes the code and adds a reason. Second,
// ASP.NET Core refuses text that is not UTF-8, which the library does not check. Third, an
// idle connection should hold neither the library's buffers nor the stack of an HTTP handler.
package websockets

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// Carry returns a function that upgrades a request and carries c over the WebSocket until
// that closes. The function returns after the handshake.
func Carry(registry *connection.Registry) connection.Carry {
	p := registry.Poller()
	return func(w http.ResponseWriter, r *http.Request, c *connection.Connection) {
		header := answer(w, r, c.Options()) // before Claim, so that a panic in it leaves no connection claimed
		if _, err := c.Claim(transports.WebSockets, r); err != nil {
			connection.Refuse(w, err)
			return
		}
		served := false
		defer func() { // also if the writer of a middleware panics
			if !served {
				c.Abandon(transports.ErrCut)
			}
		}()
		conn, early, err := upgrade(w, r, header, c)
		if err != nil {
			c.Abandon(err)
			return
		}
		served = true
		s := socket.New(p, c, connection.Resumption(r), conn, early, framing)
		s.Serve(&webSocket{socket: s, c: c})
	}
}

// writeBuffers lends the upgrade the buffer for its answer.
var writeBuffers sync.Pool

var upgrader = websocket.Upgrader{
	CheckOrigin:     func(*http.Request) bool { return true }, // the endpoint has checked it
	WriteBufferPool: &writeBuffers,
	Error:           func(w http.ResponseWriter, _ *http.Request, status int, _ error) { connection.Empty(w, status) },
}

// answer returns the headers of the answer: the headers that middleware set, such as cookies
// and CORS, and the subprotocol.
func answer(w http.ResponseWriter, r *http.Request, o *transports.Options) http.Header {
	header := w.Header().Clone()
	if offered := websocket.Subprotocols(r); o.SubprotocolSelector != nil && len(offered) > 0 {
		if chosen := o.SubprotocolSelector(offered); chosen != "" {
			header.Set("Sec-WebSocket-Protocol", chosen)
		}
	}
	return header
}

// upgrade answers the handshake. early holds bytes that the client sent after its request
// without waiting for the answer.
func upgrade(w http.ResponseWriter, r *http.Request, header http.Header, c *connection.Connection) (conn net.Conn, early []byte, err error) {
	h := &hijacker{ResponseWriter: w, c: c, stop: func() bool { return true }}
	defer func() { h.stop() }()
	u := upgrader
	u.HandshakeTimeout = c.Options().SendTimeout
	upgraded, err := u.Upgrade(h, r, header)
	if err != nil {
		return nil, nil, err
	}
	return upgraded.NetConn(), h.early, nil
}

// hijacker hides bytes after the request from the library, which refuses a client that does
// not wait. ASP.NET Core accepts such a client.
type hijacker struct {
	http.ResponseWriter
	c     *connection.Connection
	early []byte
	stop  func() bool // until it is called, the end of c.Cutting() closes the network connection
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := h.c.Hijack(h.ResponseWriter)
	if err != nil {
		return nil, nil, err
	}
	h.stop = context.AfterFunc(h.c.Cutting(), func() { _ = conn.Close() })
	if n := rw.Reader.Buffered(); n > 0 {
		h.early = make([]byte, n)
		_, err = io.ReadFull(rw.Reader, h.early) // reads from the buffer
	}
	return conn, rw, err
}

// webSocket is one WebSocket.
type webSocket struct {
	socket  *socket.Socket
	c       *connection.Connection
	decoder decoder
	corked  bool // more bytes had arrived after the part that was passed on
	heard   bool // the client has sent a byte
}

var framing = &socket.Framing{
	Append: (*frame.Frame).AppendWebSocket,
	Whole:  (*frame.Frame).WebSocket,
}

// Take implements socket.Protocol.
func (s *webSocket) Take(b []byte, full bool, err error) (rest []byte, cause error) {
	s.heard = s.heard || len(b) > 0
	rest, ended := s.decoder.decode(b, full, s)
	s.corked = false
	s.c.Uncork()
	switch {
	case ended != nil:
		return nil, s.closeAfter(ended)
	case err != nil:
		return nil, s.readFailed(err)
	}
	return rest, nil
}

// closeAfter closes the WebSocket after a close frame or a violation.
func (s *webSocket) closeAfter(err error) error {
	var v violation
	switch {
	case errors.As(err, &v):
		s.sendClose(int(v))
		s.socket.Reset()
		return v
	case errors.Is(err, errBadClose):
		s.sendClose(closeProtocol)
	default:
		s.sendClose(closeNormal)
	}
	return transports.ErrClientGone
}

func (s *webSocket) sendClose(code int) {
	var b [4]byte
	_ = s.socket.Write(appendControl(b[:0], opClose, []byte{byte(code >> 8), byte(code)}), true)
}

// readFailed closes the WebSocket after a failed read.
func (s *webSocket) readFailed(err error) error {
	if !s.heard {
		s.c.Unheard()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) { // the close frame was not answered
		s.socket.Reset()
	} else if s.heard && s.c.Observed() { // Silence is a system call
		if d, ok := s.socket.Silence(); ok {
			s.c.CutAfter(d)
		}
	}
	return transports.ErrCut
}

// data implements handler.
func (s *webSocket) data(payload []byte, more bool) {
	if more && !s.corked {
		s.corked = true
		s.c.Cork()
	}
	// Receive fails while the connection is closing; the data is then discarded.
	_ = s.c.Receive(s.socket, payload)
}

// control implements handler.
func (s *webSocket) control(opcode byte, payload []byte) {
	if opcode != opPing {
		return
	}
	var b [2 + maxControl]byte
	s.socket.Reply(appendControl(b[:0], opPong, payload))
}

// Last implements socket.Protocol. It sends the close frame. The connection closes when the
// client has answered it, or after the close time-out. After HangUp it sends no close frame.
func (s *webSocket) Last() {
	if s.c.HangsUp() {
		s.socket.HangUp(s.c.Options().CloseTimeout)
		return
	}
	s.socket.Await(s.c.Options().CloseTimeout)
	s.sendClose(closeNormal)
}
