package client

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/tunnel"
)

// webSocket is the WebSockets transport.
type webSocket struct {
	conn    *websocket.Conn
	kind    int // of the messages that we send
	closing chan struct{}
}

func openWebSocket(ctx context.Context, n *network, t target, binary bool) (carrier, error) {
	conn, err := n.dial(ctx, t.cred, t.url())
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(0) // hub messages have a limit; a WebSocket message may hold many of them
	w := &webSocket{conn: conn, kind: websocket.TextMessage, closing: make(chan struct{})}
	if binary {
		w.kind = websocket.BinaryMessage
	}
	return w, nil
}

// dial does the WebSocket handshake. After a 401 it repeats it with a fresh token, after a redirect
// with another URL.
func (n *network) dial(ctx context.Context, cred credentials, u *url.URL) (*websocket.Conn, error) {
	for range maxHTTPRedirects {
		conn, response, err := n.dialOnce(ctx, cred, u)
		if err == nil {
			return conn, nil
		}
		if !errors.Is(err, websocket.ErrBadHandshake) || response == nil {
			return nil, fmt.Errorf("client: WebSocket handshake: %w", err)
		}
		to := redirection(response)
		switch {
		case response.StatusCode == http.StatusUnauthorized && cred.renewable:
			cred.renewable = false
		case to != nil:
			cred, u = cred.forRedirect(to, u), to
		default:
			return nil, failure("WebSocket handshake", response)
		}
	}
	return nil, errors.New("client: WebSocket handshake: too many redirects")
}

func (n *network) dialOnce(ctx context.Context, cred credentials, u *url.URL) (*websocket.Conn, *http.Response, error) {
	header, err := n.headerWith(ctx, cred)
	if err != nil {
		return nil, nil, err
	}
	d, err := n.dialerTo(ctx, u)
	if err != nil {
		return nil, nil, err
	}
	// gorilla must not see the deadline: it would end the handshake a moment before ctx ends, and
	// the cause of the end could not be determined.
	dialing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	conn, response, err := d.DialContext(dialing, webSocketURL(u, header), header)
	if err == nil && ctx.Err() != nil {
		conn.Close()
		err = ctx.Err()
	}
	return conn, response, err
}

// dialerTo returns the dialer of a handshake with u. It uses the proxy of a request to u.
func (n *network) dialerTo(ctx context.Context, u *url.URL) (d websocket.Dialer, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return d, withoutURL(err)
	}
	proxy, err := n.proxyFor(q)
	if err != nil {
		return d, err
	}
	d = n.dialer
	dial := d.NetDialContext
	switch {
	case proxy != nil: // TLS with the server goes through the tunnel
		d.NetDialTLSContext = nil
		dial = func(ctx context.Context, _, address string) (net.Conn, error) {
			return tunnel.Dial(ctx, n.direct, proxy, address)
		}
	case d.NetDialTLSContext != nil:
		d.NetDialTLSContext = cutWith(ctx, d.NetDialTLSContext)
	}
	d.NetDialContext = cutWith(ctx, dial)
	return d, nil
}

// webSocketURL converts u for gorilla: with the scheme ws, and with the user in the header.
func webSocketURL(u *url.URL, header http.Header) string {
	w := *u
	w.Fragment = ""
	switch w.Scheme {
	case "http":
		w.Scheme = "ws"
	case "https":
		w.Scheme = "wss"
	}
	if password, ok := w.User.Password(); ok && header.Get("Authorization") == "" {
		basic := base64.StdEncoding.EncodeToString([]byte(w.User.Username() + ":" + password))
		header["Authorization"] = []string{"Basic " + basic}
	}
	w.User = nil
	return w.String()
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// cutWith makes dial return connections that are closed if opening ends during the handshake.
// gorilla respects the deadline of a context but not its end.
func cutWith(opening context.Context, dial dialFunc) dialFunc {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(opening, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		return &openingConn{Conn: conn, stop: stop, left: maxOpening}, nil
	}
}

// maxOpening is the limit in bytes of the data that is read during the handshake: the responses of
// a proxy and of the server, and the certificates of TLS.
const maxOpening = 256 << 10

var errLongOpening = errors.New("the answer to the handshake is too long")

// openingConn limits the data of the handshake, because gorilla reads responses of any length. It
// detaches from the context after the handshake, which gorilla marks by removing the deadline.
type openingConn struct {
	net.Conn
	stop   func() bool
	opened bool
	left   int // bytes that may be read until the handshake is over
}

func (c *openingConn) Read(b []byte) (int, error) {
	if c.opened {
		return c.Conn.Read(b)
	}
	if c.left <= 0 {
		return 0, errLongOpening
	}
	n, err := c.Conn.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

func (c *openingConn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.opened = true
		c.stop()
	}
	return c.Conn.SetDeadline(t)
}

func (c *openingConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

func (w *webSocket) Receive(feed func([]byte) error) error {
	buf := make([]byte, 8<<10)
	for {
		_, message, err := w.conn.NextReader()
		if err != nil {
			return w.ended(err)
		}
		err = copyTo(feed, message, buf)
		if errors.Is(err, errClosing) {
			feed = func([]byte) error { return nil } // so that the close frame after it is read
			continue
		}
		if err != nil {
			return err
		}
	}
}

// copyTo feeds the data of r in the pieces in which they arrive.
func copyTo(feed func([]byte) error, r io.Reader, buf []byte) error {
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if err := feed(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *webSocket) ended(err error) error {
	select {
	case <-w.closing:
		return nil
	default:
	}
	if websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		return nil
	}
	return fmt.Errorf("client: WebSocket: %w", err)
}

func (w *webSocket) Send(_ context.Context, records []byte) error {
	return w.conn.WriteMessage(w.kind, records)
}

func (w *webSocket) Close(ctx context.Context) {
	close(w.closing)
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Second)
	}
	message := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if err := w.conn.WriteControl(websocket.CloseMessage, message, deadline); err != nil {
		w.Abort()
	}
}

func (w *webSocket) Abort() { w.conn.Close() }
