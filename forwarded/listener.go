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

// headerTimeout is how long a proxy may take for its header, which it sends at once.
const headerTimeout = 5 * time.Second

// Listen returns a listener whose connections from the networks must begin with a header
// of the PROXY protocol, version 1 or 2, and have the client's address that it tells.
// Others are as they come: such a header of theirs is no HTTP, and refused as that.
//
// What is done to sockets can be done to either: they are syscall.Conns, too.
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

// proxied is a connection that begins with a header, which is read when the address is
// asked for, as the HTTP server does before all else, and not a byte of what is behind it.
type proxied struct {
	*net.TCPConn
	once   sync.Once
	client net.Addr // the proxy's own if it speaks for itself
	err    error    // there was no header
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
	beginV2        = "\r\n\r\n\x00\r\nQUIT\n" // then two bytes, and a length in two
	fixedV2        = len(beginV2) + 4
)

var errNoHeader = errors.New("forwarded: no header of the PROXY protocol")

// header reads a header, and nothing behind it.
func header(r io.Reader) ([]byte, error) {
	text := make([]byte, len(beginV2), maxV1) // no header is shorter
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
