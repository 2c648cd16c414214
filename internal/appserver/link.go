package appserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
	"github.com/carillon-go/carillon/protocol"
)

// The times of a server connection, as the SDK has them.
const (
	handshakeTimeout = 15 * time.Second
	pingInterval     = 5 * time.Second
	silenceTimeout   = 30 * time.Second
	writeTimeout     = 30 * time.Second
)

// maxMessage is the size in bytes of the largest message of a server: a message of a hub in all its
// protocols.
const maxMessage = 32 << 20

// link is one connection of an application server.
type link struct {
	servers *Servers
	server  string // the id of the server; several connections have the same
	kind    serviceprotocol.ConnectionKind
	migrate serviceprotocol.Migration
	socket  *websocket.Conn
	out     queue
	ctx     context.Context // ends with the connection
	end     context.CancelFunc

	leaving    atomic.Bool
	passedOver notify.Signal  // the connection got no client because too much waits
	parts      parts          // used by the reader
	tasks      sync.WaitGroup // the goroutines of the connection besides its reader
	began      time.Time

	// Guarded by servers.mu.
	clients   map[string]*client   // by connection id
	departing map[*client]struct{} // those that move because the server leaves
	departed  func()               // called when departing is empty; nil: it was, or the server stays
	told      bool                 // by the server, that it leaves
}

func newLink(s *Servers, server string, socket *websocket.Conn) *link {
	l := &link{servers: s, server: server, socket: socket, began: time.Now(), clients: map[string]*client{}}
	l.ctx, l.end = context.WithCancel(context.Background())
	l.out.written, l.passedOver = notify.NewSignal(), notify.NewSignal()
	return l
}

// errHandshake is the error of a connection that does not begin with a handshake.
var errHandshake = errors.New("appserver: the first message is no handshake")

// shake reads the handshake of the server, and answers it.
func (l *link) shake(in *input, id string) error {
	_ = l.socket.SetReadDeadline(time.Now().Add(handshakeTimeout))
	var m serviceprotocol.Message
	known, err := in.next(&m)
	answer := serviceprotocol.Message{Type: serviceprotocol.HandshakeResponse, Connection: id}
	switch {
	case err != nil:
		return err
	case !known || m.Type != serviceprotocol.HandshakeRequest:
		err = errHandshake
	case m.Version != 1:
		err = fmt.Errorf("appserver: version %d of the protocol is not supported", m.Version)
	default:
		l.kind, l.migrate = m.Kind, m.Migration
	}
	if err != nil {
		answer.Text = err.Error()
	}
	_ = l.socket.SetWriteDeadline(time.Now().Add(writeTimeout))
	return errors.Join(err, l.socket.WriteMessage(websocket.BinaryMessage, serviceprotocol.Append(nil, &answer)))
}

// serve passes on the server's messages until the connection ends. It returns the cause.
func (l *link) serve(in *input) error {
	var m serviceprotocol.Message
	for {
		_ = l.socket.SetReadDeadline(time.Now().Add(silenceTimeout))
		known, err := in.next(&m)
		if err != nil {
			return err
		}
		if err := l.out.cause(); err != nil { // it reads nothing, and may go on asking
			return err
		}
		if !known {
			l.servers.refuse(l, &m)
			continue
		}
		l.handle(&m)
	}
}

// write sends the queued messages, and pings while there are none, until the queue has ended.
func (l *link) write() {
	defer func() { _ = l.socket.Close() }()
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	var buffer []byte
	for {
		idle := false
		select {
		case <-l.out.written:
		case <-ticker.C:
			idle = true
		}
		taken, err := l.out.take(buffer)
		if err != nil {
			return
		}
		if buffer = taken; len(taken) == 0 {
			if !idle {
				continue
			}
			buffer = serviceprotocol.Append(taken, &serviceprotocol.Message{Type: serviceprotocol.Ping})
		}
		_ = l.socket.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err := l.socket.WriteMessage(websocket.BinaryMessage, buffer); err != nil {
			l.out.end(err)
			return
		}
		if cap(buffer) > slowAt {
			buffer = nil
		}
	}
}

// input reads messages from a WebSocket. Messages and frames need not coincide.
type input struct {
	socket *websocket.Conn
	frame  bytes.Buffer // read so far
	rest   []byte       // the part of frame that is not parsed
}

var framing = protocol.NewMessagePack()

// next reads a message. Its bytes are valid until the next call.
func (in *input) next(m *serviceprotocol.Message) (known bool, err error) {
	for {
		record, rest, err := framing.Next(in.rest, 0, maxMessage)
		if err != nil {
			return false, err
		}
		if record != nil {
			in.rest = rest
			return serviceprotocol.Parse(record, m)
		}
		if err := in.read(); err != nil {
			return false, err
		}
	}
}

// read appends a frame to the rest.
func (in *input) read() error {
	kind, r, err := in.socket.NextReader()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errLost, err)
	case kind != websocket.BinaryMessage:
		return serviceprotocol.ErrMalformed
	}
	kept := len(in.rest)
	copy(in.frame.Bytes(), in.rest) // the rest is at the end of the frame, or behind it
	in.frame.Truncate(kept)
	if kept == 0 && in.frame.Cap() > slowAt {
		in.frame = bytes.Buffer{}
	}
	_, err = in.frame.ReadFrom(io.LimitReader(r, maxMessage+1-int64(kept)))
	in.rest = in.frame.Bytes()
	if err == nil && len(in.rest) > maxMessage {
		err = serviceprotocol.ErrMalformed
	}
	return err
}
