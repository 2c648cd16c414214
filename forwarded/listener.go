package forwarded

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// headerTimeout is the time within which a proxy must send its header. Proxies send it at
// once.
const headerTimeout = 5 * time.Second

// Listen returns a listener for the PROXY protocol. A connection from networks must begin
// with a header of version 1 or 2, and gets the client's address from it. Other connections
// are unchanged: if such a peer sends the header, the HTTP server refuses it as malformed
// HTTP.
//
// Both kinds of connections implement syscall.Conn, so socket options can be set on either.
func Listen(l net.Listener, networks []netip.Prefix) net.Listener {
	return &listener{l, networks}
}

type listener struct {
	net.Listener
	proxies trusted
}

func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peer, err := netip.ParseAddrPort(accepted.RemoteAddr().String())
	if tcp, ok := accepted.(*net.TCPConn); ok && err == nil && l.proxies.contains(peer.Addr()) {
		return &proxied{TCPConn: tcp}, nil
	}
	return accepted, nil
}

// proxied is a connection that begins with a header. The header is read at the first call of
// RemoteAddr or Read; the HTTP server calls RemoteAddr first. The bytes after the header are
// not read with it.
type proxied struct {
	*net.TCPConn
	once   sync.Once
	client net.Addr // the proxy's address if its header has the LOCAL command
	err    error    // the header was missing or malformed
}

func (p *proxied) RemoteAddr() net.Addr {
	p.once.Do(p.readHeader)
	return p.client
}

func (p *proxied) Read(b []byte) (int, error) {
	if p.once.Do(p.readHeader); p.err != nil {
		return 0, p.err
	}
	return p.TCPConn.Read(b)
}

func (p *proxied) readHeader() {
	p.client = p.TCPConn.RemoteAddr()
	_ = p.SetReadDeadline(time.Now().Add(headerTimeout))
	defer func() { _ = p.SetReadDeadline(time.Time{}) }()
	text, err := header(p.TCPConn)
	if err != nil {
		p.err = err
		return
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(text), len(text)))
	if p.err = err; err == nil && !h.Command.IsLocal() && h.SourceAddr != nil {
		p.client = h.SourceAddr
	}
}

const (
	beginV1, endV1 = "PROXY ", '\n'
	maxV1          = 107
	beginV2        = "\r\n\r\n\x00\r\nQUIT\n" // followed by two bytes and a length of two bytes
	fixedV2        = len(beginV2) + 4
)

var errNoHeader = errors.New("forwarded: no header of the PROXY protocol")

// header reads a header, and no byte after it.
func header(r io.Reader) ([]byte, error) {
	text := make([]byte, len(beginV2), maxV1) // the shortest header is longer
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	switch {
	case string(text) == beginV2:
		text = text[:fixedV2]
		if _, err := io.ReadFull(r, text[len(beginV2):]); err != nil {
			return nil, err
		}
		text = append(text, make([]byte, binary.BigEndian.Uint16(text[fixedV2-2:]))...)
		_, err := io.ReadFull(r, text[fixedV2:])
		return text, err
	case bytes.HasPrefix(text, []byte(beginV1)):
		for text[len(text)-1] != endV1 && len(text) < maxV1 {
			text = text[:len(text)+1]
			if _, err := io.ReadFull(r, text[len(text)-1:]); err != nil {
				return nil, err
			}
		}
		return text, nil
	}
	return nil, errNoHeader
}
