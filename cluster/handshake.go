package cluster

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// maxHandshake is the number of bytes that the link reads from the other end before that has
// proved that it knows the secret. A node sends some 2.5 KiB. TLS alone would keep messages of
// 256 KiB for everybody.
const maxHandshake = 16 << 10

var errLongHandshake = errors.New("cluster: the handshake of the other end of the link is too long")

// handshakes is a listener. Its connections read at most maxHandshake bytes in the handshake of
// TLS.
type handshakes struct{ net.Listener }

func (l handshakes) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &handshake{Conn: conn, left: maxHandshake}, nil
}

// handshake is a connection of the link. http.Server removes the deadline when TLS has verified
// the last message of the handshake. VerifyConnection would be too early: the other end has then
// shown a certificate, which it may have copied, and has not signed with its key.
type handshake struct {
	net.Conn
	left  int // bytes that may still be read
	ended atomic.Bool
}

// SetReadDeadline ends the limit when it removes the deadline.
func (h *handshake) SetReadDeadline(t time.Time) error {
	if t.IsZero() {
		h.ended.Store(true)
	}
	return h.Conn.SetReadDeadline(t)
}

func (h *handshake) Read(b []byte) (int, error) {
	if h.ended.Load() {
		return h.Conn.Read(b)
	}
	if h.left == 0 {
		return 0, errLongHandshake
	}
	n, err := h.Conn.Read(b[:min(len(b), h.left)])
	h.left -= n
	return n, err
}
