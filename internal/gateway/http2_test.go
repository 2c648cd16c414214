package gateway

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// http2Conn is a connection that speaks HTTP/2 frame by frame.
type http2Conn struct {
	t *testing.T
	net.Conn
}

const (
	frameHeaders  = 1
	frameSettings = 4
	endStream     = 1
	endHeaders    = 4
)

// dialHTTP2 connects, sends the preface and reads the settings of the server.
func dialHTTP2(t *testing.T, addr string) (*http2Conn, map[uint16]uint32) {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // the certificate is the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	c := &http2Conn{t, conn}
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	c.write(frameSettings, 0, 0, nil)
	kind, payload, err := c.read()
	if err != nil || kind != frameSettings {
		t.Fatal(kind, err)
	}
	settings := map[uint16]uint32{}
	for ; len(payload) >= 6; payload = payload[6:] {
		settings[binary.BigEndian.Uint16(payload)] = binary.BigEndian.Uint32(payload[2:])
	}
	return c, settings
}

func (c *http2Conn) write(kind, flags byte, stream uint32, payload []byte) {
	c.t.Helper()
	n := len(payload)
	head := binary.BigEndian.AppendUint32([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, stream)
	if _, err := c.Write(append(head, payload...)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *http2Conn) read() (kind byte, payload []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0, nil, err
	}
	payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(c, payload)
	return head[3], payload, err
}

// getEvents is the head of GET https://x/hubs/clock/events, in HPACK.
func getEvents() []byte {
	return []byte("\x82\x87\x41\x01x\x44\x12/hubs/clock/events")
}

// One entry of the header table that a request references many times counts as often.
func TestHTTP2Heads(t *testing.T) {
	cert, key := certificate(t)
	r := start(t, func(c *Config) { c.TLSCert, c.TLSKey = cert, key })
	c, settings := dialHTTP2(t, strings.TrimPrefix(r.url, "https://"))
	if n := settings[3]; n != 100 {
		t.Errorf("%d streams at a time", n)
	}
	if n := settings[6]; n == 0 || n > 32<<10 {
		t.Errorf("%d bytes of headers", n)
	}
	head := append(getEvents(), "\x40\x01x\x7f\xd9\x1c"+strings.Repeat("a", 127+0x59+0x1c<<7)...) // 3800 bytes
	head = append(head, strings.Repeat("\xbe", 230)...)
	c.write(frameHeaders, endStream|endHeaders, 1, head)
	for {
		kind, payload, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if kind != frameHeaders {
			continue
		}
		if !strings.Contains(string(payload), "431") {
			t.Errorf("%q", payload)
		}
		return
	}
}

// A block of headers that does not end is cut by the ping that its client cannot answer.
func TestUnfinishedHTTP2Head(t *testing.T) {
	cert, key := certificate(t)
	s, err := New(Config{Path: "/hubs/clock", Transports: []string{"WebSockets"}, Interval: -1, ShutdownTimeout: 20 * time.Second, TLSCert: cert, TLSKey: key}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if s.http.HTTP2.SendPingTimeout <= 0 {
		t.Fatal("silent connections are not sent a ping")
	}
	s.http.HTTP2.SendPingTimeout, s.http.HTTP2.PingTimeout = 50*time.Millisecond, 50*time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	c, _ := dialHTTP2(t, l.Addr().String())
	c.write(frameHeaders, endStream, 1, getEvents())
	for {
		if _, _, err := c.read(); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection lives on")
			}
			return
		}
	}
}
