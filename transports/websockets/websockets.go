// Package websockets carries connections over WebSockets.
//
// The handshake is answered and the frames are taken apart here, not by a library: the
// original serves a client that does not wait for the answer; it answers every valid close
// frame with 1000 and a violation with a bare code, where gorilla/websocket echoes the code
// and adds a reason; it refuses text that is no UTF-8, which that does not look at; and an
// idle connection should hold neither buffers nor the stack of an HTTP handler.
package websockets

import (
	"errors"
	"net/http"
	"os"
	"sync"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// Carry upgrades a request and carries c over the WebSocket until that ends. It
// returns after the handshake; what goes on is counted in running.
func Carry(running *sync.WaitGroup) transports.Carry {
	watch := socket.NewWatch(running)
	return func(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
		protocol := subprotocol(r, c.Options()) // before Claim: a panic in it leaves no connection claimed
		if _, err := c.Claim(transports.WebSockets, r); err != nil {
			transports.Refuse(w, err)
			return
		}
		conn, early, err := upgrade(w, r, protocol)
		if err != nil {
			c.Lost(err)
			return
		}
		s := &webSocket{Socket: socket.New(c, conn, early, framing, watch), c: c}
		s.Serve(s)
	}
}

// webSocket is one WebSocket.
type webSocket struct {
	*socket.Socket
	c       *transports.Connection
	decoder decoder
	corked  bool // more was here behind what was handed on
}

var framing = &socket.Framing{
	Append: (*frame.Frame).AppendWebSocket,
	Whole:  (*frame.Frame).WebSocket,
}

// Take implements socket.Protocol.
func (s *webSocket) Take(b []byte, full bool, err error) (rest []byte, cause error) {
	rest, ended := s.decoder.decode(b, full, s)
	s.corked = false
	s.c.Uncork()
	switch {
	case ended != nil:
		return nil, s.bye(ended)
	case err != nil:
		return nil, s.broken(err)
	}
	return rest, nil
}

// bye ends the WebSocket after a close frame or a violation.
func (s *webSocket) bye(err error) error {
	var v violation
	switch {
	case errors.As(err, &v):
		s.sendClose(int(v))
		s.Reset()
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
	_ = s.Write(appendControl(b[:0], opClose, []byte{byte(code >> 8), byte(code)}), true)
}

// broken ends the WebSocket after a failed read.
func (s *webSocket) broken(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) { // the close frame was not answered
		s.Reset()
	} else if s.c.Observed() { // asking the kernel is a system call
		if d, ok := s.Silence(); ok {
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
	// It fails when the connection is closing: what still comes is not for anyone.
	_ = s.c.Receive(s.Socket, payload)
}

// control implements handler.
func (s *webSocket) control(opcode byte, payload []byte) {
	if opcode != opPing {
		return
	}
	var b [2 + maxControl]byte
	s.Reply(appendControl(b[:0], opPong, payload))
}

// Last implements socket.Protocol: it sends our close frame. The end comes when the
// client has answered it, or after the close time-out.
func (s *webSocket) Last() {
	s.Await(s.c.Options().CloseTimeout)
	s.sendClose(closeNormal)
}
