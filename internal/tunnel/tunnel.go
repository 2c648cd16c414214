// Package tunnel opens network connections through forward proxies as net/http does. It is for WebSockets,
// because the WebSocket library supports fewer kinds of proxies.
package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/proxy"
)

// Dial connects to address, a host with a port, through a proxy with the scheme http, https, socks5 or
// socks5h; the host is resolved by the proxy. It uses the dial functions, the TLS settings and the hooks
// for CONNECT of t. It returns when the tunnel stands, or when ctx ends.
func Dial(ctx context.Context, t *http.Transport, through *url.URL, address string) (net.Conn, error) {
	if isSOCKS(through) {
		return dialSOCKS(ctx, t, through, address)
	}
	conn, err := dialProxy(ctx, t, through)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err = connect(ctx, conn, t, through, address)
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Forwards reports whether a proxy reads requests to http URLs itself, instead of passing on a tunnel.
func Forwards(through *url.URL) bool { return !isSOCKS(through) }

func isSOCKS(through *url.URL) bool { return through.Scheme == "socks5" || through.Scheme == "socks5h" }

// contextDialer is an http.Transport's way to open connections.
type contextDialer struct{ *http.Transport }

// Dial implements proxy.Dialer. Nothing calls it, since there is DialContext.
func (d contextDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext implements proxy.ContextDialer.
func (d contextDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Transport.DialContext != nil {
		return d.Transport.DialContext(ctx, network, address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

func dialSOCKS(ctx context.Context, t *http.Transport, through *url.URL, address string) (net.Conn, error) {
	var auth *proxy.Auth
	if u := through.User; u != nil {
		auth = &proxy.Auth{User: u.Username()}
		auth.Password, _ = u.Password()
	}
	d, err := proxy.SOCKS5("tcp", hostPort(through), auth, contextDialer{t})
	if err != nil {
		return nil, err
	}
	return d.(proxy.ContextDialer).DialContext(ctx, "tcp", address)
}

// hostPort is the address of a proxy.
func hostPort(through *url.URL) string {
	port := through.Port()
	if port == "" {
		port = map[string]string{"https": "443", "socks5": "1080", "socks5h": "1080"}[through.Scheme]
	}
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(through.Hostname(), port)
}

// dialProxy connects to a proxy that knows CONNECT.
func dialProxy(ctx context.Context, t *http.Transport, through *url.URL) (net.Conn, error) {
	if through.Scheme != "https" {
		return contextDialer{t}.DialContext(ctx, "tcp", hostPort(through))
	}
	if t.DialTLSContext != nil {
		return t.DialTLSContext(ctx, "tcp", hostPort(through))
	}
	conn, err := contextDialer{t}.DialContext(ctx, "tcp", hostPort(through))
	if err != nil {
		return nil, err
	}
	config := t.TLSClientConfig.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		config.ServerName = through.Hostname()
	}
	config.NextProtos = []string{"http/1.1"}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// maxAnswer is how long the head of the answer to CONNECT may be.
const maxAnswer = 256 << 10

// connect asks a proxy for a tunnel.
func connect(ctx context.Context, conn net.Conn, t *http.Transport, through *url.URL, address string) error {
	header, err := connectHeader(ctx, t, through, address)
	if err != nil {
		return err
	}
	r := (&http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: header}).WithContext(ctx)
	if err := r.Write(conn); err != nil {
		return err
	}
	// Data after the answer belongs to the tunnel, but servers send nothing before their client does.
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxAnswer)), r) //nolint:bodyclose // it is the tunnel
	if err != nil {
		return err
	}
	if t.OnProxyConnectResponse != nil {
		if err := t.OnProxyConnectResponse(ctx, through, r, answer); err != nil {
			return err
		}
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy answers CONNECT with %s", answer.Status)
	}
	return nil
}

func connectHeader(ctx context.Context, t *http.Transport, through *url.URL, address string) (http.Header, error) {
	header := t.ProxyConnectHeader
	if t.GetProxyConnectHeader != nil {
		var err error
		if header, err = t.GetProxyConnectHeader(ctx, through, address); err != nil {
			return nil, err
		}
	}
	if header = header.Clone(); header == nil {
		header = http.Header{}
	}
	if through.User != nil {
		password, _ := through.User.Password()
		basic := base64.StdEncoding.EncodeToString([]byte(through.User.Username() + ":" + password))
		header.Set("Proxy-Authorization", "Basic "+basic)
	}
	return header, nil
}
